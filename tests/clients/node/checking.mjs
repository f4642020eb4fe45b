// What a client's script says of each thing it tried: one line of JSON.
export const URL_ = process.env.FRONTRUNNER_URL;
export const BASE = `${URL_}/v1`;
export const QUESTION = "What is six times seven?";
export const WEATHER = "What is the weather in Paris?";
export const JSON_ = "Who is Ada, and how old? Reply in JSON.";

export async function check(name, run) {
  let line;
  try {
    const got = await run();
    line = { check: name, ok: Boolean(got), got: String(JSON.stringify(got)).slice(0, 300) };
  } catch (error) {
    line = { check: name, ok: false, got: String(error).slice(0, 500) };
  }
  console.log(JSON.stringify(line));
}
