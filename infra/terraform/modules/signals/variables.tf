variable "project" {
  type = string
}

variable "topic" {
  description = "Full name of the topic."
  type        = string
}
