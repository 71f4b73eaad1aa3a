variable "project" {
  description = "Id of a project that holds this relay and nothing else: one project an environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be a project id (6 to 30 lower-case letters, digits, hyphens), not a name or a number."
  }
}

variable "region" {
  description = "Region of the functions, queues, scheduler and images, for example us-central1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a region like us-central1, not a zone."
  }
}

variable "prefix" {
  description = "Begins every name, for example acme-: several relays in one project. The commands of the Makefile expect none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([a-z][a-z0-9-]{0,8}-)?$", var.prefix))
    error_message = "prefix must be empty or at most ten lower-case letters, digits and hyphens that end in a hyphen."
  }
}

variable "labels" {
  description = "Labels of everything that can have some, beside app = clickwrap-relay."
  type        = map(string)
  default     = {}
}

variable "database" {
  description = "Name of the Firestore database. It cannot be changed later."
  type        = string
  default     = "(default)"

  validation {
    condition     = var.database == "(default)" || can(regex("^[a-z][a-z0-9-]{2,61}[a-z0-9]$", var.database))
    error_message = "database must be (default) or 4 to 63 lower-case letters, digits and hyphens."
  }
}

variable "backup_days" {
  description = "How long each daily copy of the database is kept, in days, 1 to 98; 0 for no copies."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_days >= 0 && var.backup_days <= 98 && floor(var.backup_days) == var.backup_days
    error_message = "backup_days must be a whole number from 0 to 98, which is all that Firestore keeps."
  }
}

variable "kms_key" {
  description = "Key that encrypts topics, database, secrets and images. Empty means Google's keys. See README.md for who must be allowed to use it."
  type        = string
  default     = ""

  validation {
    condition     = var.kms_key == "" || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key))
    error_message = "kms_key must be a full name: projects/.../locations/.../keyRings/.../cryptoKeys/..."
  }
}

variable "evidence_key" {
  description = "Whether to make a key that signs evidence, in Cloud KMS. See docs/evidence.md."
  type        = bool
  default     = false
}

variable "storage_regions" {
  description = "The only regions where messages and secrets are stored. Empty leaves it to Google, which a policy on locations forbids."
  type        = list(string)
  default     = []
}

variable "audit_reads" {
  description = "Whether reads by people of the database, of secrets and of messages are logged. The functions' own reads never are. A project has one such configuration: of two relays in it, set false for the second, and give its accounts to the first as audit_exempt."
  type        = bool
  default     = true
}

variable "audit_exempt" {
  description = "Further accounts whose reads are not logged: the service_accounts of a second relay in the project. A log of theirs would name the codes of short links."
  type        = list(string)
  default     = []
}

variable "ingress" {
  description = "As PRIVATE_INGRESS: from where the functions that only Google calls accept connections, ALLOW_ALL or ALLOW_INTERNAL_ONLY. The latter was never tried with addresses under cloudfunctions.net."
  type        = string
  default     = "ALLOW_ALL"

  validation {
    condition     = contains(["ALLOW_ALL", "ALLOW_INTERNAL_ONLY"], var.ingress)
    error_message = "ingress must be ALLOW_ALL or ALLOW_INTERNAL_ONLY."
  }
}

variable "firestore_location" {
  description = "Location of the database, a region or a multi-region like nam5 or eur3. Empty means the region. It cannot be changed later."
  type        = string
  default     = ""
}

variable "alert_emails" {
  description = "Who is told when an alert opens."
  type        = list(string)

  validation {
    condition     = length(var.alert_emails) > 0 && alltrue([for a in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", a))])
    error_message = "alert_emails must hold at least one e-mail address: an alert that reaches nobody is none."
  }
}

variable "links_base_url" {
  description = "As LINKS_BASE_URL of the functions: public base of short links on a domain of your own. Empty means the URL of links."
  type        = string
  default     = ""

  validation {
    condition     = var.links_base_url == "" || can(regex("^https://[^/]+(/.*[^/])?$", var.links_base_url))
    error_message = "links_base_url must be an https:// URL without a slash at its end."
  }
}

variable "status_webhook_url" {
  description = "As STATUS_WEBHOOK_URL of the functions: where changes of status are posted. Empty means nowhere, and no function forward."
  type        = string
  default     = ""

  validation {
    condition     = var.status_webhook_url == "" || startswith(var.status_webhook_url, "https://")
    error_message = "status_webhook_url must be an https:// URL."
  }
}

variable "status_table" {
  description = "BigQuery table, project.dataset.table, that gets every change of status as a row. Empty means none. See docs/status-events.md."
  type        = string
  default     = ""

  validation {
    condition     = var.status_table == "" || can(regex("^[a-z][a-z0-9-]*\\.[A-Za-z0-9_]+\\.[A-Za-z0-9_-]+$", var.status_table))
    error_message = "status_table must be project.dataset.table."
  }
}

variable "public_by_iam" {
  description = "Whether allUsers may call receive, links and receipts. False where a policy of the organisation forbids allUsers: see README.md."
  type        = bool
  default     = true
}

variable "operators" {
  description = "Who may call the console: IAM members such as group:relay-operators@example.com."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for m in var.operators : can(regex("^(user|group|serviceAccount):[^ ]+$", m))])
    error_message = "operators must be IAM members that begin with user:, group: or serviceAccount:. The console is never public."
  }
}

variable "github_repository_id" {
  description = "Number of the GitHub repository whose workflows plan and deploy (`gh api repos/OWNER/NAME --jq .id`). Empty for none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[0-9]*$", var.github_repository_id))
    error_message = "github_repository_id must be a number: a name can be taken over by others."
  }
}

variable "state_bucket" {
  description = "Bucket of Terraform's state and of the releases, which workflows read and write. Empty means PROJECT-relay-state."
  type        = string
  default     = ""
}

variable "oidc_audience" {
  description = "Audience of the identity tokens of pushes, tasks and scheduler. Empty means the URL of the function that is called."
  type        = string
  default     = ""

  validation {
    condition     = var.oidc_audience == "" || startswith(var.oidc_audience, "https://")
    error_message = "oidc_audience must be an https:// URL."
  }
}

variable "vpc_connector" {
  description = "Serverless VPC Access connector through which calls to the outside leave, for a fixed address. Empty means none."
  type        = string
  default     = ""
}

variable "bundles" {
  description = "Function => path of the zip that `make bundle` writes: then this module deploys the functions and binds their callers. Empty leaves both to `make deploy` or to your own pipeline."
  type        = map(string)
  default     = {}
}

variable "settings" {
  description = "The other settings of the functions, see docs/settings.md; with bundles only."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether the database and the secrets refuse to be deleted. False only just before a destroy."
  type        = bool
  default     = true
}

variable "max_delivery_attempts" {
  description = "Deliveries of one message before it goes to the dead-letter topic, 5 to 100."
  type        = number
  default     = 100

  validation {
    condition     = var.max_delivery_attempts >= 5 && var.max_delivery_attempts <= 100 && floor(var.max_delivery_attempts) == var.max_delivery_attempts
    error_message = "max_delivery_attempts must be a whole number from 5 to 100, which is all that Pub/Sub takes."
  }
}

variable "oldest_message_seconds" {
  description = "Alert when a message waits longer than this, in seconds."
  type        = number
  default     = 900

  validation {
    condition     = var.oldest_message_seconds >= 60
    error_message = "oldest_message_seconds must be 60 or more: a redelivery alone takes that long."
  }
}

variable "provider_failure_ratio" {
  description = "Alert when more than this part of the sends of 15 minutes did not succeed, 0 to 1."
  type        = number
  default     = 0.25

  validation {
    condition     = var.provider_failure_ratio > 0 && var.provider_failure_ratio < 1
    error_message = "provider_failure_ratio must lie between 0 and 1."
  }
}

variable "refused_webhooks" {
  description = "Alert when more webhooks than this are refused with 401 in five minutes."
  type        = number
  default     = 20
}

variable "availability" {
  description = "Part of the requests to the public functions that must not fail, over a month."
  type        = number
  default     = 0.999

  validation {
    condition     = var.availability >= 0.9 && var.availability <= 0.9999
    error_message = "availability must lie between 0.9 and 0.9999."
  }
}

variable "punctuality" {
  description = "Part of the messages that must leave on time, over a month."
  type        = number
  default     = 0.99

  validation {
    condition     = var.punctuality >= 0.9 && var.punctuality <= 0.9999
    error_message = "punctuality must lie between 0.9 and 0.9999."
  }
}

variable "late_seconds" {
  description = "A message is late that a provider takes so many seconds after it was published, or later."
  type        = number
  default     = 300

  validation {
    condition     = var.late_seconds >= 60
    error_message = "late_seconds must be 60 or more: one try that failed takes that long."
  }
}

variable "webhook_silence_hours" {
  description = "Alert when no webhook was accepted for so many hours, 1 to 23 (Cloud Monitoring looks back no further); 0 for no alert."
  type        = number
  default     = 23

  validation {
    condition     = var.webhook_silence_hours >= 0 && var.webhook_silence_hours <= 23 && floor(var.webhook_silence_hours) == var.webhook_silence_hours
    error_message = "webhook_silence_hours must be a whole number from 0 to 23."
  }
}
