"""Keep one record a request in Salesforce right, although events may come twice or in any order.

    SALESFORCE_URL=https://acme.my.salesforce.com SALESFORCE_TOKEN=... salesforce.py < events

Each line of the input is one event as JSON. The object Agreement__c has the external id Request_Id__c, the fields of
`fields` below, and a validation rule that lets Salesforce itself refuse what is older, whoever writes at the same time:

    AND(NOT(ISNEW()), Sequence__c <= PRIORVALUE(Sequence__c))    with the message  STALE: a newer event was written
"""

import json
import os
import sys
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

OBJECT = "/services/data/v62.0/sobjects/Agreement__c/Request_Id__c/"


def fields(event):
    """What is written."""
    data = event["data"]
    counts = {"Signatures__c": data["signatures"], "Needed__c": data["needed"], "Sequence__c": data["sequence"]}
    return {"Status__c": data["status"], "Changed_At__c": event["time"], **counts}


def upsert(url, token, event):
    """Writes an event unless a newer one was written. Raises HTTPError or URLError where it must come again."""
    if not event["type"].startswith("clickwrap.request."):
        return
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    record = url + OBJECT + quote(event["data"]["request"], safe="")
    try:
        urlopen(Request(record, json.dumps(fields(event)).encode(), headers, method="PATCH"), timeout=10).close()
    except HTTPError as refused:
        if refused.code != 400 or b"STALE" not in refused.read():
            raise


if __name__ == "__main__":
    for line in sys.stdin:
        upsert(os.environ["SALESFORCE_URL"], os.environ["SALESFORCE_TOKEN"], json.loads(line))
