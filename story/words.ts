// How numbers are written, on the page and elsewhere.

/** `60.4 s`; what is not worth a tenth of a second is not rounded away. */
export function secondsText(ms: number): string {
  if (ms === 0) return '0 s'
  return ms < 100 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

/** `1:05` since the beginning. */
export function clockText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

export function countText(count: number): string {
  return count.toLocaleString('en-US')
}

/** For HTML and SVG. */
export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
