"""What people type to sign in."""

from __future__ import annotations

from typing import Any

from django import forms


class SignInForm(forms.Form):
    """Login and password, with the attributes that password managers look for."""

    username = forms.CharField(
        label="Login",
        max_length=150,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password = forms.CharField(
        label="Password",
        max_length=1024,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class FactorForm(forms.Form):
    """A code as typed, or what the browser says that a security key answered."""

    code = forms.CharField(max_length=40, required=False)
    credential = forms.CharField(max_length=20_000, required=False)

    def clean(self) -> dict[str, Any]:
        """One of both."""
        given = super().clean() or {}
        if not self.errors and not given.get("code") and not given.get("credential"):
            raise forms.ValidationError("Type a code, or use a security key.")
        return given


class AppForm(forms.Form):
    """The first code of an authenticator app."""

    code = forms.CharField(max_length=20)


class KeyForm(forms.Form):
    """A security key's name, and what it answered."""

    name = forms.CharField(max_length=60)
    credential = forms.CharField(max_length=20_000, error_messages={"required": "The key did not answer."})


class PasswordForm(forms.Form):
    """The password so far and the new one."""

    old = forms.CharField(max_length=1024, strip=False)
    new = forms.CharField(max_length=1024, strip=False)
