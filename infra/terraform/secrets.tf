# Secrets are in Secret Manager, and functions get them by reference. What is made here is written with write-only
# arguments, which stand in no plan and no state; what the team brings is named in var.secrets and only referred to.

locals {
  made_secrets = merge(
    var.database.enabled ? { DATABASE_URL = { id = one(google_secret_manager_secret.database_url[*].secret_id), version = one(google_secret_manager_secret_version.database_url[*].version) } } : {},
    var.redis.enabled ? { REDIS_URL = { id = one(google_secret_manager_secret.redis_url[*].secret_id), version = one(google_secret_manager_secret_version.redis_url[*].version) } } : {},
  )
  all_secrets = merge({ for setting, id in var.secrets : setting => { id = id, version = "latest" } }, local.made_secrets)

  # By function and setting: what goes with the parts it uses, and with telemetry.
  function_secrets = {
    for name, one in local.functions : name => {
      for setting, secret in local.all_secrets : setting => secret
      if contains(concat(local.for_all, flatten([for part in one.uses : try(local.parts[part], [])])), setting)
    }
  }
}
