// The websocket of the Responses API in a browser, with the events of the race.
const socket = new WebSocket("ws://127.0.0.1:8000/v1/responses");
socket.onopen = () => socket.send(JSON.stringify({
  type: "response.create", input: "What is 6 times 7?", frontrunner: { deadline: 5, events: true },
}));
socket.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  if (event.type === "frontrunner.vote") console.log(event.votes, event.leader);
  if (event.type === "response.completed") console.log(event.response.frontrunner);
};
