"""A real mail server in this process, and a fake user_svc."""

from tests.support.mail_fixtures import contacts as contacts
from tests.support.mail_fixtures import mail_server as mail_server
from tests.support.mail_fixtures import patient as patient
from tests.support.mail_fixtures import post as post
from tests.support.mail_fixtures import users as users
