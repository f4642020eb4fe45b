// @ts-check
// A request as code to take away: for curl, and for Python with OpenAI's SDK.

/**
 * What the form says.
 * @typedef {{model: string, input: string | object[], instructions?: string, temperature?: number,
 *   frontrunner: Record<string, unknown>}} Request
 */

/**
 * @param {string} base the API's address
 * @param {Request} request
 * @param {boolean} keyed the server wants an API key
 */
export function asCurl(base, request, keyed) {
  const body = JSON.stringify({ ...request, stream: false }, null, 2).replaceAll("'", "'\\''");
  const key = keyed ? `  -H "Authorization: Bearer $FRONTRUNNER_API_KEY" \\\n` : "";
  return (
    `curl ${base}/responses \\\n` +
    `  -H 'Content-Type: application/json' \\\n${key}` +
    `  -d '${body}'\n`
  );
}

/**
 * @param {string} base the API's address
 * @param {Request} request
 * @param {boolean} keyed the server wants an API key
 */
export function asPython(base, request, keyed) {
  const key = keyed ? `os.environ["FRONTRUNNER_API_KEY"]` : `"none"`;
  const { instructions, temperature } = request;
  const more =
    (instructions === undefined ? "" : `    instructions=${literal(instructions)},\n`) +
    (temperature === undefined ? "" : `    temperature=${literal(temperature)},\n`);
  return `${keyed ? "import os\n\n" : ""}from openai import OpenAI

client = OpenAI(base_url=${literal(base)}, api_key=${key})
response = client.responses.create(
    model=${literal(request.model)},
    input=${literal(request.input)},
${more}    extra_body={"frontrunner": ${literal(request.frontrunner)}},
)
print(response.output_text)
print(response.frontrunner["stop_reason"], response.frontrunner["votes"])
`;
}

/**
 * A Python literal.
 * @param {unknown} value
 * @returns {string}
 */
function literal(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    const items = Object.entries(value).map(([key, item]) => `${literal(key)}: ${literal(item)}`);
    return `{${items.join(", ")}}`;
  }
  // JSON's numbers and strings are Python's.
  return JSON.stringify(value);
}
