"""Hardware in the loop: `pytest -m hil --port URL` runs the host's training tests against whatever answers there."""
