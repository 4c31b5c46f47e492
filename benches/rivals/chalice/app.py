"""The chat of templates/chat.yaml for chalice, which knows $connect, $disconnect and one handler of all messages."""

import json
import os

from boto3.session import Session
from chalice import Chalice, WebsocketDisconnectedError

app = Chalice(app_name="chat")
app.experimental_feature_flags.update(["WEBSOCKETS"])
app.websocket_api.session = Session()
table = Session().resource("dynamodb").Table(os.environ.get("table", "chat-connections"))


@app.on_ws_connect()
def connect(event):
    table.put_item(Item={"connectionId": event.connection_id})


@app.on_ws_disconnect()
def disconnect(event):
    table.delete_item(Key={"connectionId": event.connection_id})


@app.on_ws_message()
def message(event):
    text = json.loads(event.body)["message"]
    for item in table.scan()["Items"]:
        if item["connectionId"] != event.connection_id:
            try:
                app.websocket_api.send(item["connectionId"], text)
            except WebsocketDisconnectedError:
                pass
