"""What people type to sign in."""

from __future__ import annotations

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
