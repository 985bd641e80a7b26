"""What `/events/budget` takes: a push of Pub/Sub, as it comes itself or within a CloudEvent.

Unknown fields are passed over here: these messages are Google's, who adds to them. Pub/Sub sends several fields twice,
as messageId and message_id; the first way of writing is the documented one.

Source: https://cloud.google.com/pubsub/docs/push, https://github.com/googleapis/google-cloudevents (pubsub v1),
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class PubSubMessage(BaseModel):
    """`data` is base64. `messageId` is Pub/Sub's own: what carries one has come through it."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    data: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)
    message_id: str | None = None
    publish_time: AwareDatetime | None = None


class PubSubPush(BaseModel):
    """What Pub/Sub posts to an endpoint, and what a CloudEvent of it holds as its data."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    message: PubSubMessage
    subscription: str | None = None


class PubSubCloudEvent(BaseModel):
    """A CloudEvent in structured mode (`application/cloudevents+json`). In binary mode the body is a `PubSubPush`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    type: Literal["google.cloud.pubsub.topic.v1.messagePublished"]
    source: str = Field(min_length=1)
    id: str = Field(min_length=1)
    data: PubSubPush
