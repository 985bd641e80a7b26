# For people: a database with a second one that takes over, limits that hold over all instances, audit that cannot be
# deleted. Locking the audit log's bucket is for good: the project cannot be deleted before its days are over. To
# try it, set audit_logs in yours.tfvars before the first apply.

environment         = "prod"
deletion_protection = true
monthly_budget      = 1000
audit_logs          = { retention_days = 400, locked = true }
log_retention_days  = 90
model               = "vertex"

database = {
  tier            = "db-custom-2-7680"
  disk_gb         = 50
  high_available  = true
  backups         = 30
  max_connections = 400
}
redis = {
  enabled        = true
  high_available = true
}

new_revisions_get_traffic = false # the pipeline moves it
