# As prod, but small: what is to go to prod is tried here.

environment         = "staging"
deletion_protection = false
monthly_budget      = 150
audit_logs          = { retention_days = 30, locked = false }
log_retention_days  = 30
redis               = { enabled = true }
model               = "vertex"

new_revisions_get_traffic = false # the pipeline moves it
