"""A plain FastAPI endpoint as people write it: an `async def` that calls the model. `python -m ... PORT MODEL`."""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

from tests.benchmarks.frameworks.model import Model

app = FastAPI()


@app.post("/predict")
async def predict(request: dict[str, Any]) -> dict[str, Any]:
    """Score the messages of one request; the event loop waits meanwhile."""
    model: Model = app.state.model
    return model.score([request])[0]


if __name__ == "__main__":
    app.state.model = Model(sys.argv[2])
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
