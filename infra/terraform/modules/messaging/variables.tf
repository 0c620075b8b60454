variable "project" {
  type = string
}

variable "project_number" {
  type = string
}

variable "region" {
  type = string
}

variable "urls" {
  description = "Of functions, by name."
  type        = map(string)
}

variable "accounts" {
  description = "E-mail addresses by short name."
  type        = map(string)
}

variable "publishes" {
  description = "Topics that each function publishes to."
  type        = map(list(string))
}

variable "with_timers" {
  description = "Functions that put tasks into the queue."
  type        = list(string)
}
