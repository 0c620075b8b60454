// The events that tell why a container was not started, in kubelet's words.

/** What to say of a refusal besides what was said on the way to it. */
export function eventsOfRefusal(
  image: string,
  reason: string,
  message: string,
): { reason: string; message: string }[] {
  switch (reason) {
    case 'ErrImagePull':
      return [
        { reason: 'Failed', message: 'Error: ErrImagePull' },
        { reason: 'BackOff', message: `Back-off pulling image "${image}"` },
        { reason: 'Failed', message: 'Error: ImagePullBackOff' },
      ]
    case 'ErrImageNeverPull':
    case 'InvalidImageName':
      return [{ reason: 'Failed', message: `Error: ${reason}` }]
    default:
      return [{ reason: 'Failed', message: `Error: ${message}` }]
  }
}
