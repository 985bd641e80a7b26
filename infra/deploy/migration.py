"""Migrate alone: the job of the revisions that serve already, as after the very first `terraform apply`."""

from infra.deploy.cloud import Cloud, CloudFailed
from infra.deploy.environment import Environment, Refused
from infra.deploy.lease import Holder, Overtaken
from infra.deploy.outcomes import Outcome, Say
from infra.deploy.pinning import pin
from infra.deploy.shares import serving
from infra.deploy.signals import Stopped, stoppable, unstoppable


def migrate(cloud: Cloud, environment: Environment, holder: Holder, say: Say) -> Outcome:
    """Run the migrations with the image of the revision that serves most of the first function with a database.

    Raises:
        Refused: another deploy is at work, no function uses a database, or it was stopped before the job was started.
        CloudFailed: the cloud does not say what serves.
    """
    first = next((one for one in environment.functions if "database" in one.uses), None)
    if first is None:
        raise Refused("functions.json: no function uses a database")
    with stoppable():
        try:
            holder.take()
            service = cloud.service(environment.service(first))
            served = serving(service)
            if not served:
                raise Refused(f"{service.name}: no revision gets requests: terraform apply has to end first")
            say(f"Migrations: job {environment.migration_job} runs with the image of {served[0].revision}.")
            image = cloud.revision(service.name, served[0].revision).image
            pin(cloud, map(environment.service, environment.functions), say)
            return _ran(cloud, environment.migration_job, image, holder, say)
        except Stopped as stopped:
            raise Refused(f"stopped by {stopped} before the job was started") from None
        finally:
            with unstoppable(say):
                holder.give_back(say)


def _ran(cloud: Cloud, job: str, image: str, holder: Holder, say: Say) -> Outcome:
    try:
        cloud.run_job(job, image, holder.keep)
    except (CloudFailed, Overtaken) as error:
        say(f"FAILED: {error}")
        return Outcome.NOT_MIGRATED
    except Stopped as stopped:
        say(f"FAILED: stopped by {stopped}; the job itself may go on")
        return Outcome.NOT_MIGRATED
    return Outcome.MIGRATED
