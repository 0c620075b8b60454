// Time as data: `shared/` never asks what time it is, it is told (milliseconds since 1970, UTC).
// These functions turn such a number into the texts Kubernetes uses and back, without `Date`.

const DAY_MS = 86_400_000

/**
 * `2026-11-22T15:04:05Z`: metav1.Time, whole seconds.
 * The calendar arithmetic is Howard Hinnant's civil_from_days (howardhinnant.github.io/date_algorithms.html).
 */
export function formatTime(ms: number): string {
  return `${dateAndTime(ms)}Z`
}

/** `2026-11-22T15:04:05.123000Z`: metav1.MicroTime. `micros` is microseconds since 1970. */
export function formatMicroTime(micros: number): string {
  const fraction = String(((micros % 1_000_000) + 1_000_000) % 1_000_000).padStart(6, '0')
  return `${dateAndTime(Math.floor(micros / 1000))}.${fraction}Z`
}

function dateAndTime(ms: number): string {
  const days = Math.floor(ms / DAY_MS)
  const secondOfDay = Math.floor((ms - days * DAY_MS) / 1000)
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthShifted = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * monthShifted + 2) / 5) + 1
  const month = monthShifted < 10 ? monthShifted + 3 : monthShifted - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  const two = (n: number): string => String(n).padStart(2, '0')
  return (
    `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}` +
    `T${two(Math.floor(secondOfDay / 3600))}:${two(Math.floor(secondOfDay / 60) % 60)}:${two(secondOfDay % 60)}`
  )
}

const RFC3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d{2}):(\d{2}))$/

/** Milliseconds since 1970 of an RFC 3339 text, or undefined when it is none. */
export function parseTime(text: string | undefined | null): number | undefined {
  const match = text ? RFC3339.exec(text) : null
  if (!match) return undefined
  const [, year, month, day, hour, minute, second, fraction, , sign, offsetHour, offsetMinute] =
    match
  const y = Number(year) - (Number(month) <= 2 ? 1 : 0)
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const monthShifted = (Number(month) + 9) % 12
  const dayOfYear = Math.floor((153 * monthShifted + 2) / 5) + Number(day) - 1
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  const days = era * 146_097 + dayOfEra - 719_468
  const offset = sign
    ? (sign === '-' ? -1 : 1) * (Number(offsetHour) * 60 + Number(offsetMinute))
    : 0
  return (
    days * DAY_MS +
    ((Number(hour) * 60 + Number(minute) - offset) * 60 + Number(second)) * 1000 +
    Math.floor(Number((fraction ?? '').padEnd(3, '0').slice(0, 3)))
  )
}

/**
 * How old something is, as kubectl's AGE column prints it: `5s`, `2m30s`, `3h`, `5d`.
 * Same steps as apimachinery's duration.HumanDuration.
 */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`
  if (minutes < 180) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`
  if (hours < 48) return `${hours}h`
  const days = Math.floor(hours / 24)
  if (hours < 192) return hours % 24 === 0 ? `${days}d` : `${days}d${hours % 24}h`
  if (days < 365 * 2) return `${days}d`
  const years = Math.floor(days / 365)
  if (days < 365 * 8) return days % 365 === 0 ? `${years}y` : `${years}y${days % 365}d`
  return `${years}y`
}
