"""The door for web servers: `gunicorn soc.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "soc.settings")

application = get_wsgi_application()

from soc import checks  # noqa: E402 - needs the settings that the line above loads

checks.refuse_unfit()
