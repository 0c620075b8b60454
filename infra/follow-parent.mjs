// Loaded before an entry point that infra/setup.mjs starts: ends this process in good order when the
// one that started it is gone, even by SIGKILL. Processes that this one starts are not concerned.

if (process.channel && process.env.WHERRY_PARENT === String(process.ppid)) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  process.channel.unref()
}
