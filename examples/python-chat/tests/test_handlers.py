"""Calls the handlers as Lambda does, with a stand-in for boto3. Run: python3 -m unittest discover tests"""

import importlib.util
import json
import os
import sys
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent


class Gone(Exception):
    """What the gateway raises for a connection that is closed."""


def load(name, boto3):
    """The handler in folder `name`, which is given this `boto3`."""
    specification = importlib.util.spec_from_file_location(name, ROOT / name / "app.py")
    module = importlib.util.module_from_spec(specification)
    with mock.patch.dict(sys.modules, boto3=boto3), mock.patch.dict(os.environ, table="connections"):
        specification.loader.exec_module(module)
    return module


class Handlers(unittest.TestCase):
    def setUp(self):
        self.boto3 = mock.MagicMock()
        self.gateway = self.boto3.client.return_value
        self.gateway.exceptions.GoneException = Gone

    def call(self, name, body=None):
        module = load(name, self.boto3)
        context = {"connectionId": "me", "domainName": "chat.example", "stage": "production"}
        with mock.patch.dict(os.environ, table="connections"):
            return module.handler({"requestContext": context, "body": json.dumps(body)}, None)

    def test_connect_stores_the_connection(self):
        self.assertEqual(self.call("connect"), {"statusCode": 200})
        table = self.boto3.resource.return_value.Table
        table.assert_called_with("connections")
        table.return_value.put_item.assert_called_with(Item={"connectionId": "me"})

    def test_disconnect_deletes_the_connection(self):
        self.assertEqual(self.call("disconnect"), {"statusCode": 200})
        self.boto3.resource.return_value.Table.return_value.delete_item.assert_called_with(Key={"connectionId": "me"})

    def test_a_message_goes_to_all_connections_except_its_senders(self):
        items = [{"connectionId": {"S": name}} for name in ("me", "you", "gone", "them")]
        self.gateway.get_paginator.return_value.paginate.return_value = [{"Items": items}]
        reached = []

        def post(ConnectionId, Data):
            if ConnectionId == "gone":
                raise Gone
            reached.append((ConnectionId, Data))

        self.gateway.post_to_connection.side_effect = post
        self.assertEqual(self.call("send-message", {"message": "hello"}), {"statusCode": 200})
        self.assertEqual(reached, [("you", "hello"), ("them", "hello")])


if __name__ == "__main__":
    unittest.main()
