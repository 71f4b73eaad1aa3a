# Made by `make generate` from the modules in shared/adapters/providers and shared/adapters/shorteners.

variable "sms_provider" {
  description = "As SMS_PROVIDER of the functions: decides who may read which secrets."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["aws", "twilio", "vonage", "none"], var.sms_provider)
    error_message = "sms_provider must be one of aws, twilio, vonage, none."
  }
}

variable "email_provider" {
  description = "As EMAIL_PROVIDER of the functions: decides who may read which secrets."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["mailgun", "microsoft", "postmark", "sendgrid", "ses", "smtp", "none"], var.email_provider)
    error_message = "email_provider must be one of mailgun, microsoft, postmark, sendgrid, ses, smtp, none."
  }
}

variable "shortener" {
  description = "As SHORTENER of the functions: decides who may read which secrets."
  type        = string
  default     = "links"

  validation {
    condition     = contains(["bitly", "links", "rebrandly", "none"], var.shortener)
    error_message = "shortener must be one of bitly, links, rebrandly, none."
  }
}

variable "former_providers" {
  description = "As FORMER_PROVIDERS of the functions: whose receipts are still taken, comma-separated."
  type        = string
  default     = ""

  validation {
    condition = alltrue([
      for name in split(",", replace(var.former_providers, " ", "")) : contains(["", "aws", "twilio", "vonage", "mailgun", "microsoft", "postmark", "sendgrid", "ses", "smtp"], name)
    ])
    error_message = "former_providers must be names of aws, twilio, vonage, mailgun, microsoft, postmark, sendgrid, ses, smtp, comma-separated."
  }
}
