# A budget with alerts. `make infra` copies this file into infra/ where BILLING_ACCOUNT is set.

variable "billing_account" {
  description = "Number of the billing account, for alerts on a budget; whoever applies needs billing.budgets.create on it."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-F]{6}(-[0-9A-F]{6}){2}$", var.billing_account))
    error_message = "billing_account must be like 012345-6789AB-CDEF01."
  }
}

variable "monthly_budget" {
  description = "The budget of a month, in the currency of the billing account."
  type        = number
  default     = 100
}

resource "google_project_service" "budgets" {
  project            = var.project
  service            = "billingbudgets.googleapis.com"
  disable_on_destroy = false
}

# The workflows compare it at each plan, in the name of the project too.
resource "google_project_iam_member" "github_budget" {
  for_each = local.github

  project = var.project
  role    = "roles/serviceusage.serviceUsageConsumer"
  member  = local.github_account[each.key]
}

# Told at half and at all of it, and when Google expects it to be used up.
resource "google_billing_budget" "relay" {
  billing_account = var.billing_account
  display_name    = "Clickwrap Relay in ${var.project}"

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }

  amount {
    specified_amount {
      units = tostring(var.monthly_budget)
    }
  }

  dynamic "threshold_rules" {
    for_each = { half = [0.5, "CURRENT_SPEND"], all = [1, "CURRENT_SPEND"], expected = [1, "FORECASTED_SPEND"] }

    content {
      threshold_percent = threshold_rules.value[0]
      spend_basis       = threshold_rules.value[1]
    }
  }

  all_updates_rule {
    monitoring_notification_channels = slice(local.told, 0, min(5, length(local.told))) # Google takes no more
  }

  depends_on = [google_project_service.budgets]
}
