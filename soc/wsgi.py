"""The door for web servers: `gunicorn soc.wsgi`."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "soc.settings")

application = get_wsgi_application()

from django.urls import get_resolver  # noqa: E402 - these need the settings that the line above loads

from soc import checks  # noqa: E402

checks.refuse_unfit()

# What is loaded now stays for good: with the addresses and all that they import, it is not looked through
# again with each full collection of garbage, which a batch of alerts sets off.
_ = get_resolver().url_patterns
gc.collect()
gc.freeze()
