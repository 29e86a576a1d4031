"""Uses a service with python3-jwt and python3-authlib. Exits with 1 and a traceback if anything is wrong."""
import json
import os
import sys

os.environ['AUTHLIB_INSECURE_TRANSPORT'] = '1'  # The service listens on loopback, without TLS.

import jwt
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, JsonWebToken
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

given = json.load(sys.stdin)
issuer, algorithm = given['issuer'], given['algorithm']
server = requests.get(issuer + '/.well-known/oauth-authorization-server', timeout=30).json()


def sign_in():
    body = {'username': given['username'], 'password': given['password']}
    return requests.post(issuer + '/login', json=body, timeout=30).json()


def with_metadata():
    metadata = AuthorizationServerMetadata(server)
    for name in metadata.REGISTRY_KEYS:
        # authlib takes the empty list of a server without an authorization endpoint for a missing one.
        if name != 'response_types_supported' and hasattr(metadata, 'validate_' + name):
            getattr(metadata, 'validate_' + name)()


def with_pyjwt():
    token = sign_in()['access_token']
    key = jwt.PyJWKClient(server['jwks_uri']).get_signing_key_from_jwt(token).key
    required = ['exp', 'iat', 'iss', 'aud', 'sub', 'jti', 'client_id']
    claims = jwt.decode(
        token, key, algorithms=[algorithm], issuer=issuer, audience=issuer, options={'require': required}
    )
    assert claims['client_id'] == 'signout' and claims['scope'] == 'user', claims


def with_authlib_jose():
    keys = JsonWebKey.import_key_set(requests.get(server['jwks_uri'], timeout=30).json())
    options = {'iss': {'essential': True, 'value': issuer}, 'aud': {'essential': True, 'value': issuer}}
    claims = JsonWebToken([algorithm]).decode(sign_in()['access_token'], keys, claims_options=options)
    claims.validate()
    assert claims.header['typ'] == 'at+jwt', claims.header


def session(client_id, secret, method):
    # Without the second method, authlib sends the secret by client_secret_basic to the other endpoints.
    return OAuth2Session(
        client_id, secret, token_endpoint_auth_method=method, revocation_endpoint_auth_method=method
    )


def with_authlib_oauth():
    app = session('signout', None, 'none')
    api = session(given['client_id'], given['client_secret'], 'client_secret_basic')
    posting = session(given['client_id'], given['client_secret'], 'client_secret_post')
    keyed = session(given['keyed_id'], given['private_key'], 'private_key_jwt')
    keyed.register_client_auth_method(PrivateKeyJWT(server['token_endpoint']))
    pair = app.refresh_token(server['token_endpoint'], refresh_token=sign_in()['refresh_token'])
    for client in (api, posting, keyed):
        answer = client.introspect_token(server['introspection_endpoint'], token=pair['access_token'])
        assert answer.json().get('active') is True, (client.token_endpoint_auth_method, answer.status_code, answer.text)
    revoked = app.revoke_token(
        server['revocation_endpoint'], token=pair['refresh_token'],
        token_type_hint='refresh_token'
    )
    assert revoked.status_code == 200, revoked.text
    answer = api.introspect_token(server['introspection_endpoint'], token=pair['access_token'])
    assert answer.json() == {'active': False}, answer.text


for use in (with_metadata, with_pyjwt, with_authlib_jose, with_authlib_oauth):
    use()
