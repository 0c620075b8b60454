// The pages that Google's load balancer answers with by itself.
// https://cloud.google.com/load-balancing/docs/https/https-logging-monitoring#statusdetail_failure_messages

export interface Page {
  status: number
  contentType: string
  body: string
}

/** No rule for this host and path. */
export const NOT_FOUND = html(
  404,
  '404 Page not found',
  'Error: Page not found',
  'The requested URL was not found on this server.',
)

/** An endpoint was chosen and did not answer. */
export const BAD_GATEWAY = html(
  502,
  '502 Server Error',
  'Error: Server Error',
  'The server encountered a temporary error and could not complete your request.<p>Please try again in 30 seconds.',
)

/** There is no healthy endpoint. */
export const NO_UPSTREAM = text(503, 'no healthy upstream')

/** The endpoint took longer than the backend service's timeout. */
export const TIMED_OUT = text(504, 'upstream request timeout')

/** The page of any other status that a URL map asks for. */
export function pageOf(status: number): Page {
  const known = [NOT_FOUND, BAD_GATEWAY, NO_UPSTREAM, TIMED_OUT]
  return known.find((page) => page.status === status) ?? text(status, 'fault filter abort')
}

function text(status: number, body: string): Page {
  return { status, contentType: 'text/plain', body }
}

function html(status: number, title: string, heading: string, message: string): Page {
  const body = `
<html><head>
<meta http-equiv="content-type" content="text/html;charset=utf-8">
<title>${title}</title>
</head>
<body text=#000000 bgcolor=#ffffff>
<h1>${heading}</h1>
<h2>${message}</h2>
<h2></h2>
</body></html>
`
  return { status, contentType: 'text/html; charset=UTF-8', body }
}
