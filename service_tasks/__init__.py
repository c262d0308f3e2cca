"""Handlers of the shipped job types, joined into one set.

The entry-point group `engine.service_tasks` names `handlers`; another package adds job types by another entry
point of that group. Modules here import nothing of the engine but `engine.handlers`.
"""

from engine.handlers import Handlers
from service_tasks import asking, checks, messages, people, plan, repository, task, worker

handlers = Handlers()
for module in (plan, task, worker, checks, repository, people, messages, asking):
    handlers.join(module.handlers)

__all__ = ["handlers"]
