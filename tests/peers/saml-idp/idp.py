"""A SAML 2.0 identity provider for tests: pysaml2 behind a small HTTP server.

    idp.py serve [--expired]    says its address, and serves until its standard input ends
    idp.py record FOLDER        writes the responses that tests and fuzzing begin with
    idp.py c14n                 answers lines of JSON with what libxml2 makes of a document

Paths of the server: GET /metadata; POST /sp takes the metadata of the service provider; /sso and /slo are SAML's, with
an account's name and password as basic authentication; GET /sign-out?user=NAME begins a logout here; POST /behaviour
sets what is in BEHAVIOUR.
"""

import base64
import datetime
import functools
import html
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

import saml2.entity
import saml2.sigver
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, config, saml, samlp, server
from saml2.metadata import entity_descriptor
from saml2.s_utils import error_status_factory
from saml2.xml.schema import validate as validate_schema

ACCOUNTS = {
    "alice": {
        "password": "wonderland",
        "identity": {"uid": "alice", "mail": "alice@example.com", "displayName": "Alice Liddell",
                     "groups": ["staff", "cluster-admins"]},
    },
    "bob": {
        "password": "builder",
        "identity": {"uid": "bob", "mail": "bob@example.com", "groups": "staff;night-shift"},
    },
    "nobody": {"password": "nothing", "identity": {"uid": "nobody"}},
    "mallory": {"password": "letmein", "disabled": True, "identity": {}},
}

BEHAVIOUR = {
    "sign_assertion": True,
    "sign_response": False,
    "encrypt": None,  # the name of a content algorithm of XML Encryption
    "key_transport": "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
    "signature": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "digest": "http://www.w3.org/2001/04/xmlenc#sha256",
}

# What xmlsec1 calls the keys of the content algorithms.
CONTENT = {
    "http://www.w3.org/2009/xmlenc11#aes128-gcm": "aes-128",
    "http://www.w3.org/2009/xmlenc11#aes256-gcm": "aes-256",
    "http://www.w3.org/2001/04/xmlenc#aes128-cbc": "aes-128",
    "http://www.w3.org/2001/04/xmlenc#aes256-cbc": "aes-256",
    "http://www.w3.org/2001/04/xmlenc#tripledes-cbc": "des-192",
}

# pysaml2 leaves no choice of algorithms to its callers.
PRE_ENCRYPTION = saml2.entity.pre_encryption_part
ENCRYPT = saml2.sigver.CryptoBackendXmlSec1.encrypt_assertion


def choose_encryption(content, key_transport):
    saml2.entity.pre_encryption_part = functools.partial(PRE_ENCRYPTION, msg_enc=content, key_enc=key_transport)

    def encrypt(self, statement, enc_key, template, key_type=None, node_xpath=None, node_id=None):
        return ENCRYPT(self, statement, enc_key, template, CONTENT[content], node_xpath, node_id)

    saml2.sigver.CryptoBackendXmlSec1.encrypt_assertion = encrypt


def key_pair(folder, name, not_before, not_after, curve=None):
    """Makes a key and a certificate, as PEM files."""
    key = ec.generate_private_key(curve) if curve else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(not_before).not_valid_after(not_after)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.key", folder / f"{name}.pem"
    files[0].write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    files[1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return files


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Idp:
    def __init__(self, base, files, sp_metadata=None):
        self.base = base
        settings = {
            "entityid": f"{base}/metadata",
            "key_file": str(files[0]),
            "cert_file": str(files[1]),
            "signing_algorithm": BEHAVIOUR["signature"],
            "digest_algorithm": BEHAVIOUR["digest"],
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [(f"{base}/sso", BINDING_HTTP_REDIRECT),
                                                   (f"{base}/sso", BINDING_HTTP_POST)],
                        "single_logout_service": [(f"{base}/slo", BINDING_HTTP_REDIRECT),
                                                  (f"{base}/slo", BINDING_HTTP_POST)],
                    },
                    "want_authn_requests_signed": True,
                    "policy": {"default": {
                        "lifetime": {"minutes": 5},
                        "attribute_restrictions": None,
                        "name_form": "urn:oasis:names:tc:SAML:2.0:attrname-format:basic",
                    }},
                },
            },
        }
        if sp_metadata:
            settings["metadata"] = {"inline": [sp_metadata]}
        self.settings = settings
        self.server = server.Server(config=config.IdPConfig().load(settings))

    def metadata(self):
        return str(entity_descriptor(config.IdPConfig().load(self.settings)))

    def response(self, account, request_id, consumer, sp, name_id_format, behaviour):
        """A response for a request, as XML."""
        if account.get("disabled"):
            status = error_status_factory((samlp.STATUS_AUTHN_FAILED, "the account is disabled"))
            return str(self.server._response(request_id, consumer, status, sign=behaviour["sign_response"],
                                             sign_alg=behaviour["signature"], digest_alg=behaviour["digest"]))
        if behaviour["encrypt"]:
            choose_encryption(behaviour["encrypt"], behaviour["key_transport"])
        return str(self.server.create_authn_response(
            identity=account["identity"],
            in_response_to=request_id,
            destination=consumer,
            sp_entity_id=sp,
            name_id=self.name_id(account, sp, name_id_format),
            authn={"class_ref": saml.AUTHN_PASSWORD_PROTECTED, "authn_auth": self.base},
            sign_assertion=behaviour["sign_assertion"],
            sign_response=behaviour["sign_response"],
            encrypt_assertion=bool(behaviour["encrypt"]),
            sign_alg=behaviour["signature"],
            digest_alg=behaviour["digest"],
        ))

    @staticmethod
    def name_id(account, sp, name_id_format):
        return saml.NameID(format=name_id_format, sp_name_qualifier=sp, text="id-of-" + account["identity"]["uid"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    files = None
    idp = None

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def form(self, action, fields):
        inputs = "".join(f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}"/>'
                         for name, value in fields.items() if value)
        self.answer(200, f'<form method="post" action="{html.escape(action)}">{inputs}</form>')

    def do_GET(self):
        self.handle_safely(urlsplit(self.path).query, BINDING_HTTP_REDIRECT)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.handle_safely(body, BINDING_HTTP_POST)

    def handle_safely(self, text, binding):
        try:
            self.route(text, binding)
        except Exception as error:
            self.answer(400, f"{type(error).__name__}: {error}")

    def route(self, text, binding):
        path = urlsplit(self.path).path
        fields = {name: values[0] for name, values in parse_qs(text).items()} if path in ("/sso", "/slo", "/sign-out") else {}
        if path == "/metadata":
            self.answer(200, self.idp.metadata())
        elif path == "/sp":
            validate_schema(text)
            Handler.idp = Idp(self.idp.base, self.files, text)
            self.answer(204, "")
        elif path == "/behaviour":
            BEHAVIOUR.update(json.loads(text))
            self.answer(204, "")
        elif path == "/sso":
            self.sign_on(fields, binding)
        elif path == "/slo":
            self.log_out(fields, binding)
        elif path == "/sign-out":
            self.begin_log_out(fields)
        else:
            self.answer(404, "")

    def sign_on(self, fields, binding):
        request = self.idp.server.parse_authn_request(
            fields["SAMLRequest"], binding, relay_state=fields.get("RelayState"), sigalg=fields.get("SigAlg"),
            signature=fields.get("Signature")).message
        name, _, password = base64.b64decode(self.headers.get("Authorization", "Basic Og==")[6:]).decode().partition(":")
        account = ACCOUNTS.get(name)
        if account is None or account["password"] != password:
            return self.answer(401, "wrong name or password")
        response = self.idp.response(account, request.id, request.assertion_consumer_service_url, request.issuer.text,
                                     request.name_id_policy.format, BEHAVIOUR)
        self.form(request.assertion_consumer_service_url, {
            "SAMLResponse": base64.b64encode(response.encode()).decode(), "RelayState": fields.get("RelayState")})

    def log_out(self, fields, binding):
        if "SAMLResponse" in fields:
            # It knows no answers that it did not ask for.
            answer = self.idp.server.parse_logout_request_response(fields["SAMLResponse"], binding)
            return self.answer(200, f"{answer.response.in_response_to} {answer.status_ok()}")
        request = self.idp.server.parse_logout_request(
            fields["SAMLRequest"], binding, relay_state=fields.get("RelayState"), sigalg=fields.get("SigAlg"),
            signature=fields.get("Signature")).message
        answer = self.idp.server.create_logout_response(
            request, [binding], sign=binding == BINDING_HTTP_POST, sign_alg=BEHAVIOUR["signature"],
            digest_alg=BEHAVIOUR["digest"])
        self.send_on(binding, answer, answer_to(answer), fields.get("RelayState"), True)

    def begin_log_out(self, fields):
        sp = fields["sp"]
        binding = {"redirect": BINDING_HTTP_REDIRECT, "post": BINDING_HTTP_POST}[fields.get("binding", "redirect")]
        destination = self.idp.server.metadata.single_logout_service(sp, binding, "spsso")[0]["location"]
        name_id = self.idp.name_id(ACCOUNTS[fields["user"]], sp, saml.NAMEID_FORMAT_PERSISTENT)
        _, request = self.idp.server.create_logout_request(
            destination, sp, name_id=name_id, session_indexes=[fields["index"]] if "index" in fields else None,
            sign=binding == BINDING_HTTP_POST, sign_alg=BEHAVIOUR["signature"], digest_alg=BEHAVIOUR["digest"])
        self.send_on(binding, request, destination, fields.get("relay"), False)

    def send_on(self, binding, message, destination, relay_state, response):
        if binding == BINDING_HTTP_POST:
            field = "SAMLResponse" if response else "SAMLRequest"
            return self.form(destination, {
                field: base64.b64encode(str(message).encode()).decode(), "RelayState": relay_state})
        sent = self.idp.server.apply_binding(binding, str(message), destination, relay_state or "", response=response,
                                             sign=True, sigalg=BEHAVIOUR["signature"])
        self.answer(302, "", **dict(sent["headers"]))


def answer_to(message):
    """Where an answer goes: pysaml2 gives it as an object, or signed as text."""
    return message.destination if hasattr(message, "destination") else (
        samlp.logout_response_from_string(str(message)).destination)


def serve(expired):
    folder = Path(tempfile.mkdtemp(prefix="saml-idp-"))
    over = datetime.timedelta(hours=-1 if expired else 1)
    Handler.files = key_pair(folder, "idp", now() - datetime.timedelta(days=2), now() + over)
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    base = f"http://127.0.0.1:{listener.server_port}"
    Handler.idp = Idp(base, Handler.files)
    print(base, flush=True)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    sys.stdin.read()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    os._exit(0)


SP = "https://acp.example.com/dex"
CONSUMER = "https://acp.example.com/dex/callback/saml"
REQUEST = "id-0123456789abcdef0123456789abcdef"
BASE = "https://idp.example.com"


def record(folder):
    """Everything is for one request, so that a test needs to know only that and the time."""
    folder.mkdir(parents=True, exist_ok=True)
    ever = now() - datetime.timedelta(days=1), now() + datetime.timedelta(days=36500)
    files = key_pair(folder, "idp", *ever)
    attacker = key_pair(folder, "attacker", *ever)
    expired = key_pair(folder, "expired", ever[0] - datetime.timedelta(days=2), ever[0])
    curves = [key_pair(folder, f"p{curve.key_size}", *ever, curve=curve) for curve in (ec.SECP256R1(), ec.SECP384R1())]
    key_pair(folder, "sp", *ever)
    certificate = "".join((folder / "sp.pem").read_text().splitlines()[1:-1])
    sp_metadata = f"""<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"
        xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="{SP}"><md:SPSSODescriptor
        protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor><ds:KeyInfo><ds:X509Data>
        <ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
        <md:AssertionConsumerService Binding="{BINDING_HTTP_POST}" Location="{CONSUMER}" index="0"/>
        </md:SPSSODescriptor></md:EntityDescriptor>"""
    idp = Idp(BASE, files, sp_metadata)
    (folder / "idp-metadata.xml").write_text(idp.metadata())
    both = {"sign_response": True}
    gcm = "http://www.w3.org/2009/xmlenc11#"
    cbc = "http://www.w3.org/2001/04/xmlenc#"
    recordings = {
        "signed": (idp, "alice", {}),
        "bob": (idp, "bob", {}),
        "response-signed": (idp, "alice", both | {"sign_assertion": False}),
        "both-signed": (idp, "alice", both),
        "unsigned": (idp, "alice", {"sign_assertion": False}),
        "encrypted-gcm": (idp, "alice", {"encrypt": gcm + "aes256-gcm"}),
        "encrypted-gcm128": (idp, "alice", {"encrypt": gcm + "aes128-gcm"}),
        "encrypted-both-signed": (idp, "alice", both | {"encrypt": gcm + "aes256-gcm"}),
        "encrypted-response-signed": (idp, "alice", both | {"encrypt": gcm + "aes256-gcm", "sign_assertion": False}),
        "encrypted-unsigned": (idp, "alice", {"encrypt": gcm + "aes256-gcm", "sign_assertion": False}),
        "encrypted-cbc": (idp, "alice", {"encrypt": cbc + "aes256-cbc"}),
        "encrypted-cbc-both-signed": (idp, "alice", both | {"encrypt": cbc + "aes256-cbc"}),
        "encrypted-cbc128-both-signed": (idp, "alice", both | {"encrypt": cbc + "aes128-cbc"}),
        "encrypted-3des": (idp, "alice", both | {"encrypt": cbc + "tripledes-cbc"}),
        "encrypted-rsa-1_5": (idp, "alice", {"encrypt": gcm + "aes256-gcm", "key_transport": cbc + "rsa-1_5"}),
        "sha384": (idp, "alice", {"signature": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
                                  "digest": "http://www.w3.org/2001/04/xmldsig-more#sha384"}),
        "sha512": (idp, "alice", {"signature": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
                                  "digest": "http://www.w3.org/2001/04/xmlenc#sha512"}),
        "sha1": (idp, "alice", {"signature": "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
                                "digest": "http://www.w3.org/2000/09/xmldsig#sha1"}),
        "sha1-digest": (idp, "alice", {"digest": "http://www.w3.org/2000/09/xmldsig#sha1"}),
        "disabled": (idp, "mallory", {}),
        "attacker": (Idp(BASE, attacker, sp_metadata), "alice", {}),
        "expired": (Idp(BASE, expired, sp_metadata), "alice", {}),
    }
    for name, (who, account, changes) in recordings.items():
        print(name)
        xml = who.response(ACCOUNTS[account], REQUEST, CONSUMER, SP, saml.NAMEID_FORMAT_PERSISTENT, BEHAVIOUR | changes)
        (folder / f"{name}.xml").write_text(xml)
    signed = (folder / "signed.xml").read_text()
    rsa256, ecdsa = BEHAVIOUR["signature"], "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha"
    sign_again(folder / "ecdsa-p256.xml", signed.replace(rsa256, ecdsa + "256"), curves[0][0])
    sign_again(folder / "ecdsa-p384.xml", signed.replace(rsa256, ecdsa + "384"), curves[1][0])
    exclusive = 'Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'
    prefixes = exclusive.replace("/>", '><ec:InclusiveNamespaces xmlns:ec="http://www.w3.org/2001/10/xml-exc-c14n#" '
                                 'PrefixList="ns0 xsi xs"/>')
    for kind in ("Transform", "CanonicalizationMethod"):
        signed = signed.replace(f"{kind} {exclusive}", f"{kind} {prefixes}</ns2:{kind}>")
    sign_again(folder / "inclusive-prefixes.xml", signed, files[0])
    signed = signed.replace("ns0 xsi xs", "#default").replace("<ns0:Response ", '<ns0:Response xmlns="urn:unused" ')
    sign_again(folder / "inclusive-default.xml", signed, files[0])
    signed = signed.replace("<ns1:AttributeStatement>", '<ns1:AttributeStatement xmlns="">')
    sign_again(folder / "inclusive-default-undone.xml", signed, files[0])
    for key in folder.glob("*.key"):
        if key.name != "sp.key":
            key.unlink()


def sign_again(path, xml, key):
    """Signs the assertion of a response with what its signature now asks for."""
    xml = re.sub(r"<ns2:KeyInfo>.*</ns2:KeyInfo>", "", xml, flags=re.DOTALL)
    xml = re.sub(r"<ns2:(DigestValue|SignatureValue)>.*?</", r"<ns2:\1></", xml, flags=re.DOTALL)
    path.write_text(xml)
    subprocess.run(["xmlsec1", "--sign", "--privkey-pem", key, "--id-attr:ID", "Assertion", "--output", path, path],
                   check=True)


def c14n():
    from lxml import etree

    for line in sys.stdin:
        asked = json.loads(line)
        root = etree.fromstring(asked["document"].encode())
        # A copy takes the declarations around it along; the writer sees only where the element is.
        apex = root.find(asked["path"]) if asked["path"] else root
        canonical = etree.tostring(apex, method="c14n", exclusive=True, with_comments=False,
                                   inclusive_ns_prefixes=asked["prefixes"] or None)
        print(json.dumps(canonical.decode()), flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    command, *rest = sys.argv[1:]
    if command == "serve":
        serve("--expired" in rest)
    elif command == "record":
        record(Path(rest[0]))
    elif command == "c14n":
        c14n()
