# One person's try-out: the smallest of everything, and everything can be destroyed again. Some 10 USD a month.

environment         = "dev"
deletion_protection = false
monthly_budget      = 50
audit_logs          = { retention_days = 30, locked = false }
log_retention_days  = 30
