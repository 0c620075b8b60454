// Answers the control plane's question whether this VM lives, which stands in its Node while the VM
// fails its health check. Who cannot run containers says nothing: then the check is right.

import { ANSWERED_ANNOTATION, ASKED_ANNOTATION, type Node } from '#shared/api/node.ts'

export interface AnswerOptions {
  /** Resolves when the node works, as its /healthz would say. */
  check: () => Promise<void>
  /** Tells the Node with these annotations. */
  tell: (annotations: Record<string, string>) => Promise<void>
}

/** To be called with the Node as it was last read. Each question is answered once. */
export function createAnswers({
  check,
  tell,
}: AnswerOptions): (node: Node | undefined) => Promise<void> {
  let answered: string | undefined
  return async (node) => {
    const { [ASKED_ANNOTATION]: asked, [ANSWERED_ANNOTATION]: known } =
      node?.metadata.annotations ?? {}
    if (asked === undefined || asked === known || asked === answered) return
    try {
      await check()
    } catch {
      return
    }
    answered = asked
    await tell({ [ANSWERED_ANNOTATION]: asked })
  }
}
