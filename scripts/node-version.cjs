// Stops before anything else when Node is too old for this package: `node -r ./scripts/node-version.cjs src/…`. Written
// in CommonJS of 2015, so that an old Node gets as far as the message. The build copies it beside the published command,
// where it runs first. `engines` of package.json is the one place that names the version.
"use strict"

/** The message for a Node of this version, or null when it is new enough. Both as in "22.19.0". */
const tooOld = (version, minimum) => {
  const have = version.split(".").map(Number)
  const want = minimum.split(".").map(Number)
  const differs = want.findIndex((part, i) => have[i] !== part)
  if (differs < 0 || have[differs] > want[differs]) return null
  return `effect-exchange needs Node ${minimum} or newer, and this is Node ${version}. Install a newer Node. In a clone ` +
    "of the repository, `npm ci` brings one, and `npm run` and `npm test` use it."
}

module.exports = { tooOld }

const message = tooOld(process.versions.node, require("../package.json").engines.node.replace(">=", ""))
if (message !== null) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
