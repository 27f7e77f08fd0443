"""The door for web servers: `gunicorn soc.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "soc.settings")

application = get_wsgi_application()
