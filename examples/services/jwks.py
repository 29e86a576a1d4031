"""A service that verifies access tokens of signout by its JWKS alone, with PyJWT (Debian: python3-jwt, python3-cryptography).

Nothing tells it of a logout. It accepts a revoked token until the token expires.
Run it with `ISSUER=https://auth.example.com PORT=8080 python3 jwks.py`.
"""
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:3000")
# Inside your network, signout may have another address than the issuer.
SIGNOUT_URL = os.environ.get("SIGNOUT_URL", ISSUER)
SCOPE = "articles:read"

# Keeps the keys for five minutes, and asks again for a kid that is new.
keys = jwt.PyJWKClient(f"{SIGNOUT_URL}/.well-known/jwks.json", lifespan=300)


class Refusal(Exception):
    def __init__(self, status, challenge=None):
        self.status = status
        self.challenge = challenge


def verify(header):
    """Returns the claims of the token in an Authorization header. Raises a Refusal otherwise."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refusal(401, "Bearer")
    try:
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":
            raise Refusal(401, 'Bearer error="invalid_token"')
        claims = jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token).key,
            algorithms=["EdDSA", "ES256", "RS256"],
            issuer=ISSUER,
            audience=os.environ.get("AUDIENCE", ISSUER),
            options={"require": ["exp", "iat", "sub", "aud", "iss"]},
        )
    except jwt.exceptions.PyJWKClientError as error:
        # The kid is unknown, or signout cannot be reached. Only the second may pass.
        unknown = "Unable to find a signing key" in str(error)
        raise Refusal(401, 'Bearer error="invalid_token"') if unknown else Refusal(503)
    except jwt.InvalidTokenError:
        raise Refusal(401, 'Bearer error="invalid_token"')
    if SCOPE not in claims.get("scope", "").split(" "):
        raise Refusal(403, f'Bearer error="insufficient_scope", scope="{SCOPE}"')
    return claims


class Articles(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            self.answer(200, {"user": verify(self.headers.get("Authorization", ""))["sub"]})
        except Refusal as refusal:
            self.answer(refusal.status, {"error": "refused"}, refusal.challenge)

    def answer(self, status, body, challenge=None):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if challenge is not None:
            self.send_header("WWW-Authenticate", challenge)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Articles).serve_forever()
