// Which control has the focus, whether that is seen, and whether it is within the window.
() => {
    const e = document.activeElement;
    if (!e || e === document.body) return null;
    const style = getComputedStyle(e);
    const around = e.closest('tr, li, label');
    const other = around ? getComputedStyle(around) : style;
    const isRinged = (s) => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;
    const box = e.getBoundingClientRect();
    const isInView = box.bottom > 0 && box.top < innerHeight && box.width > 0;
    return { place: Number(e.dataset.place ?? -1), ring: isRinged(style) || isRinged(other), inView: isInView };
}
