# Where

variable "project_id" {
  description = "Id of the Google Cloud project that everything is made in; it must exist and have billing."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id: must be a project's id, 6 to 30 of a-z, 0-9 and -, as in example-lending."
  }
}

variable "region" {
  description = "Region of the functions and of all that is regional."
  type        = string
  default     = "us-central1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[1-9][0-9]?$", var.region))
    error_message = "region: must be a region, as in us-central1; a zone such as us-central1-a is none."
  }
}

variable "environment" {
  description = "dev, staging or prod; part of every name, so that they can share a project."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment: must be dev, staging or prod."
  }
}

variable "name" {
  description = "What names begin with, before the environment."
  type        = string
  default     = "lcc"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,7}$", var.name))
    error_message = "name: must be 2 to 8 of a-z and 0-9, since a service account's id has 30 characters at most."
  }
}

variable "cost_center" {
  description = "Label cost-center on everything, by which the bill can be split."
  type        = string
  default     = "lending"

  validation {
    condition     = can(regex("^[a-z0-9_-]{1,63}$", var.cost_center))
    error_message = "cost_center: must be a label's value, 1 to 63 of a-z, 0-9, _ and -."
  }
}

variable "deletion_protection" {
  description = "Whether the database refuses to be destroyed, and buckets that hold something too."
  type        = bool
  default     = true
}

# Functions

variable "functions_file" {
  description = "The list of functions, by its path from here; what it says is checked in catalogue.tf."
  type        = string
  default     = "../../functions/functions.json"

  validation {
    condition     = fileexists("${path.module}/${var.functions_file}")
    error_message = "functions_file: must be the path of a file, from infra/terraform."
  }
}

variable "runtime" {
  description = "Python of the functions. Newer ones than the packages are locked for are refused."
  type        = string
  default     = "python313"

  validation {
    condition     = contains(["python311", "python312", "python313"], var.runtime)
    error_message = "runtime: must be python311, python312 or python313, for which requirements.txt is compiled."
  }
}

variable "new_revisions_get_traffic" {
  description = "Whether a new revision gets all traffic at once. False where a pipeline moves it step by step: traffic stays as it is, and so with whichever is the newest until loancheck deploy promote or migrate has run once."
  type        = bool
  default     = true
}

variable "settings" {
  description = "Further settings of the product (docs/api.md, .env.example) as environment variables. No secrets: those are named in secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.settings), local.secret_settings)) == 0
    error_message = "settings: must hold no secrets, which would stand in the state; name them in secrets: ${join(", ", setintersection(keys(var.settings), local.secret_settings))}."
  }
  validation {
    condition     = length(setintersection(keys(var.settings), local.own_settings)) == 0
    error_message = "settings: is made here already: ${join(", ", setintersection(keys(var.settings), local.own_settings))}."
  }
  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^[A-Z][A-Z0-9_]*$", name))])
    error_message = "settings: names must be environment variables, as in LOG_LEVEL."
  }
}

variable "secrets" {
  description = "Secrets of the product that are in Secret Manager of this project already: setting = id, as in GEMINI_API_KEY = \"gemini\". The value is read by the function and never seen here."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.secrets), local.secret_settings)) == 0
    error_message = "secrets: must be settings that are secrets: ${join(", ", local.secret_settings)}."
  }
  validation {
    condition     = alltrue([for id in values(var.secrets) : can(regex("^[A-Za-z0-9_-]{1,255}$", id))])
    error_message = "secrets: values must be ids of secrets, 1 to 255 of letters, digits, _ and -; not the secrets themselves."
  }
  validation {
    condition     = contains(keys(var.secrets), "DATABASE_URL") != var.database.enabled
    error_message = "secrets: must name DATABASE_URL where database.enabled is false, and only there: instances share nothing but the database."
  }
  validation {
    condition     = !(contains(keys(var.secrets), "REDIS_URL") && var.redis.enabled)
    error_message = "secrets: must not name REDIS_URL where redis.enabled is true, which makes it."
  }
}

variable "model" {
  description = "embedded: answers are quoted from the documents and cost nothing; vertex: Gemini by Vertex AI with the functions' own accounts; api-key: Gemini by the secret GEMINI_API_KEY."
  type        = string
  default     = "embedded"

  validation {
    condition     = contains(["embedded", "vertex", "api-key"], var.model)
    error_message = "model: must be embedded, vertex or api-key."
  }
  validation {
    condition     = (var.model == "api-key") == contains(keys(var.secrets), "GEMINI_API_KEY")
    error_message = "model: api-key and secrets.GEMINI_API_KEY go together."
  }
}

variable "operators" {
  description = "Who may act as the operator's account, which has all scopes: IAM members, as user:ann@example.com or group:desk@example.com."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for one in var.operators : can(regex("^(user|group|serviceAccount):[^@\\s,]+@[^@\\s,]+\\.[^@\\s,]+$", one))])
    error_message = "operators: must be user:, group: or serviceAccount: and an e-mail address."
  }
}

variable "google_accounts" {
  description = "Further accounts whose Google-signed ID tokens are let in: e-mail = role or role@tenant; roles are admin, analyst, viewer, service."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for email in keys(var.google_accounts) : can(regex("^[^@\\s,=]+@[^@\\s,=]+\\.[^@\\s,=]+$", email))])
    error_message = "google_accounts: keys must be e-mail addresses."
  }
  validation {
    condition     = alltrue([for role in values(var.google_accounts) : can(regex("^(admin|analyst|viewer|service)(@[a-z0-9-]+)?$", role))])
    error_message = "google_accounts: values must be admin, analyst, viewer or service, and may go on with @ and a tenant."
  }
}

variable "schedules" {
  description = "Other times than those of functions.json: function = five fields of cron."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.schedules), keys(local.scheduled))) == 0
    error_message = "schedules: must name functions with the trigger scheduler: ${join(", ", keys(local.scheduled))}."
  }
  validation {
    condition     = alltrue([for cron in values(var.schedules) : can(regex("^[0-9*/,-]+( [0-9A-Za-z*/,-]+){4}$", cron))])
    error_message = "schedules: values must be five fields of cron, as in 30 6 * * *."
  }
}

variable "time_zone" {
  description = "Time zone of the schedules, as in America/New_York. Days of reports are UTC whatever this is."
  type        = string
  default     = "Etc/UTC"

  validation {
    condition     = can(regex("^[A-Z][A-Za-z]+/[A-Za-z_+/0-9-]+$", var.time_zone))
    error_message = "time_zone: must be of the IANA list, as in Etc/UTC."
  }
}

# Parts that can be switched; costs are per month in us-central1 at the smallest size, and asked for or not.

variable "database" {
  description = "Cloud SQL for PostgreSQL with a private address. The smallest costs some 10 USD a month; enabled = false takes the database of secrets.DATABASE_URL, so that this costs nothing. password_version is raised to change the password."
  type = object({
    enabled          = optional(bool, true)
    tier             = optional(string, "db-f1-micro")
    disk_gb          = optional(number, 10)
    high_available   = optional(bool, false)
    backups          = optional(number, 7)
    max_connections  = optional(number, 100)
    password_version = optional(number, 1)
  })
  default = {}

  validation {
    condition     = can(regex("^db-[a-z0-9-]+$", var.database.tier))
    error_message = "database: tier must be as in db-f1-micro or db-custom-2-7680."
  }
  validation {
    condition     = var.database.disk_gb >= 10 && var.database.disk_gb <= 65536
    error_message = "database: disk_gb must be 10 to 65536."
  }
  validation {
    condition     = var.database.backups >= 1 && var.database.backups <= 365
    error_message = "database: backups must be 1 to 365; it is how many daily backups are kept."
  }
  validation {
    condition     = var.database.password_version >= 1 && floor(var.database.password_version) == var.database.password_version
    error_message = "database: password_version must be a whole number from 1."
  }
}

variable "redis" {
  description = "Memorystore for Redis, so that limits hold over all instances. 1 GB costs some 36 USD a month; without it each instance counts for itself."
  type = object({
    enabled        = optional(bool, false)
    memory_gb      = optional(number, 1)
    high_available = optional(bool, false)
  })
  default = {}

  validation {
    condition     = var.redis.memory_gb >= 1 && var.redis.memory_gb <= 300
    error_message = "redis: memory_gb must be 1 to 300."
  }
}

variable "chroma" {
  description = "Chroma server on a small machine of its own, for more documents than an instance can hold in memory. It costs some 14 USD a month; without it each instance reads them from the database, some 20 MB of its memory for 10,000 passages."
  type = object({
    enabled      = optional(bool, false)
    machine_type = optional(string, "e2-small")
    disk_gb      = optional(number, 20)
    version      = optional(string, "1.5.9")
  })
  default = {}

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.chroma.version))
    error_message = "chroma: version must be exact, as in 1.5.9, the one that requirements.txt has."
  }
  validation {
    condition     = var.chroma.disk_gb >= 10 && var.chroma.disk_gb <= 65536
    error_message = "chroma: disk_gb must be 10 to 65536."
  }
}

variable "network_range" {
  description = "Addresses of the subnet that functions leave from where database, redis or chroma are on; /26 at least."
  type        = string
  default     = "10.64.0.0/24"

  validation {
    condition     = can(cidrhost(var.network_range, 0)) && can(regex("^(10|172\\.(1[6-9]|2[0-9]|3[01])|192\\.168)\\..*/([89]|1[0-9]|2[0-6])$", var.network_range))
    error_message = "network_range: must be a private IPv4 range of /8 to /26, as in 10.64.0.0/24."
  }
}

variable "edge" {
  description = "External HTTPS load balancer with one host for all functions and Cloud Armor before it; functions are then reached through it alone. It costs some 33 USD a month. host is the name whose DNS record points to the output edge_address; requests_per_minute is what one address may send."
  type = object({
    enabled             = optional(bool, false)
    host                = optional(string, "")
    requests_per_minute = optional(number, 600)
  })
  default = {}

  validation {
    condition     = !var.edge.enabled || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.edge.host))
    error_message = "edge: host must be a name in lower case, as in assistant.example.com."
  }
  validation {
    condition     = var.edge.requests_per_minute >= 10 && var.edge.requests_per_minute <= 10000
    error_message = "edge: requests_per_minute must be 10 to 10000."
  }
}

variable "trace_exporter" {
  description = "cloud-trace: spans go to Cloud Trace; none: they go nowhere."
  type        = string
  default     = "cloud-trace"

  validation {
    condition     = contains(["none", "cloud-trace"], var.trace_exporter)
    error_message = "trace_exporter: must be none or cloud-trace."
  }
}

# Logs

variable "log_retention_days" {
  description = "Days that the functions' log lines are kept."
  type        = number
  default     = 30

  validation {
    condition     = var.log_retention_days >= 1 && var.log_retention_days <= 3650
    error_message = "log_retention_days: must be 1 to 3650."
  }
}

variable "audit_logs" {
  description = "The cloud's own audit log of this project: days that it is kept, and whether its bucket is locked. A locked bucket can never be unlocked, its days never lessened, and the project not be deleted before they are over."
  type = object({
    retention_days = optional(number, 400)
    locked         = optional(bool, true)
  })
  default = {}

  validation {
    condition     = var.audit_logs.retention_days >= 1 && var.audit_logs.retention_days <= 3650
    error_message = "audit_logs: retention_days must be 1 to 3650."
  }
}

# Money

variable "billing_export" {
  description = "BigQuery table with the bill in FOCUS columns, as in PROJECT.DATASET.TABLE; the cost report shows it beside the models' costs."
  type        = string
  default     = null

  validation {
    condition     = var.billing_export == null || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]\\.[A-Za-z0-9_]+\\.[A-Za-z0-9_-]+$", var.billing_export))
    error_message = "billing_export: must be PROJECT.DATASET.TABLE."
  }
}

variable "billing_account" {
  description = "Billing account of the project, as in 012345-6789AB-CDEF01. Null leaves the cloud's budget out, for those who may not make one."
  type        = string

  validation {
    condition     = var.billing_account == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account: must be as in 012345-6789AB-CDEF01, or null."
  }
}

variable "monthly_budget" {
  description = "What a calendar month may cost, in whole units of the billing account's currency."
  type        = number

  validation {
    condition     = var.monthly_budget > 0 && floor(var.monthly_budget) == var.monthly_budget
    error_message = "monthly_budget: must be a whole number of more than 0."
  }
}

variable "budget_thresholds" {
  description = "Shares of the budget that are told of, 1 for all of it: current when they are spent, forecast when the month is going to spend them."
  type = object({
    current  = optional(set(number), [0.5, 0.9, 1])
    forecast = optional(set(number), [1])
  })
  default = {}

  validation {
    condition     = alltrue([for share in setunion(var.budget_thresholds.current, var.budget_thresholds.forecast) : share > 0 && share <= 10])
    error_message = "budget_thresholds: must be shares, as 0.9 for 90 %, of more than 0 and at most 10."
  }
  validation {
    condition     = length(var.budget_thresholds.current) > 0 && length(var.budget_thresholds.forecast) > 0
    error_message = "budget_thresholds: must have a current and a forecast share at least."
  }
}

variable "alert_emails" {
  description = "Who is told by e-mail of budgets and alerts: 1 to 5 addresses, as many as a budget takes."
  type        = set(string)

  validation {
    condition     = length(var.alert_emails) >= 1 && length(var.alert_emails) <= 5
    error_message = "alert_emails: must be 1 to 5 addresses."
  }
  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@\\s,;:]+@[^@\\s,;:]+\\.[^@\\s,;:.]+$", email))])
    error_message = "alert_emails: must be e-mail addresses, as in desk@example.com."
  }
}

# Deploys from GitHub

variable "github_repository" {
  description = "GitHub repository whose workflows may plan and deploy, as OWNER/NAME, without keys. Null: nobody but people."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9]([A-Za-z0-9-]{0,37}[A-Za-z0-9])?/[A-Za-z0-9._-]{1,100}$", var.github_repository))
    error_message = "github_repository: must be OWNER/NAME, as in example/loan-collateral-check, or null."
  }
}

variable "github_branch" {
  description = "The branch that is deployed."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]{0,200}$", var.github_branch))
    error_message = "github_branch: must be a branch's name, as in main."
  }
}

variable "state_bucket" {
  description = "Bucket with Terraform's state, which the accounts of github_repository get to read, and that of deploys to write."
  type        = string
  default     = null

  validation {
    condition     = var.state_bucket == null || can(regex("^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "state_bucket: must be a bucket's name, as in example-lending-terraform."
  }
  validation {
    condition     = var.github_repository == null || var.state_bucket != null
    error_message = "state_bucket: must be named where github_repository is."
  }
}
