// Asks the users service whether a user exists. Throws `UsersAway` when it cannot tell.
'use strict'

const ANSWER_MS = 3000

class UsersAway extends Error {}

async function exists (usersUrl, id) {
  let answer
  try {
    answer = await fetch(`${usersUrl}/users/${id}`, { signal: AbortSignal.timeout(ANSWER_MS) })
    await answer.arrayBuffer() // so that the connection can be used again
  } catch (error) {
    throw new UsersAway(`the users service does not answer: ${error.message}`)
  }
  if (answer.status === 404) return false
  if (answer.ok) return true
  throw new UsersAway(`the users service answered ${answer.status}`)
}

module.exports = { exists, UsersAway }
