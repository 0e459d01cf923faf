"""What routes need: the services of the app they run in."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from api.services import Services


def services_of(request: Request) -> Services:
    """Give the services that `create_app` was handed."""
    return cast("Services", request.app.state.services)


Needed = Annotated[Services, Depends(services_of)]
