// Numbers every control that the keyboard must reach, in the order of the page, and says what each is.
() => {
    const kinds = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
    const found = [...document.querySelectorAll(kinds)].filter(e => e.checkVisibility({ visibilityProperty: true })
        && !e.disabled && !e.closest('dialog:not([open])'));
    found.forEach((e, at) => e.dataset.place = at);
    const words = (e) => `${e.tagName.toLowerCase()} “${(e.textContent || e.name || '').trim().replace(/\s+/g, ' ').slice(0, 40)}”`;
    document.activeElement?.blur();
    return found.map(words);
}
