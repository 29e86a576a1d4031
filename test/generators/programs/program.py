"""Written by hand around the client of openapi-generator for Python."""
import json
import sys

import openapi_client
from openapi_client.rest import ApiException

address, username, password = sys.argv[1:4]
configuration = openapi_client.Configuration(host=address)
client = openapi_client.ApiClient(configuration)
auth = openapi_client.AuthApi(client)
own = openapi_client.MeApi(client)

pair = auth.login(openapi_client.Credentials(username=username, password=password))
configuration.access_token = pair.access_token
me = own.get_me()
assert me.username == username and me.role == 'user', me
first = own.list_security_events(limit=1)
assert first.next_cursor is not None
second = own.list_security_events(limit=1, cursor=first.next_cursor)
assert second.events[0].id != first.events[0].id
following = auth.refresh(refresh_input=openapi_client.RefreshInput(refresh_token=pair.refresh_token))
configuration.access_token = following.access_token
assert auth.logout().message == 'Successfully logged out'
try:
    own.get_me()
    raise AssertionError('The token is accepted after the logout.')
except ApiException as refused:
    assert refused.status == 401 and json.loads(refused.body)['error'] == 'token_revoked', refused
