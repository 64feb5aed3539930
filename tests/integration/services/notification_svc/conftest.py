"""A real mail server, and a fake user_svc."""

from tests.support.mail_fixtures import contacts as contacts
from tests.support.mail_fixtures import mail_server as mail_server
from tests.support.mail_fixtures import no_time_limits as no_time_limits
from tests.support.mail_fixtures import smtp as smtp
from tests.support.mail_fixtures import users as users
