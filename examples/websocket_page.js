// The websocket of the Responses API in a browser, with the events of the race.
const question = "Mia has 21 cards.\n1. She gives away 7 cards.\n"
  + "2. After a good deal, Mia has 6 times as many cards.\nHow many cards does Mia have now?";
const socket = new WebSocket("ws://127.0.0.1:8000/v1/responses");
socket.onopen = () => socket.send(JSON.stringify({
  type: "response.create", input: question, frontrunner: { deadline: 5, events: true },
}));
socket.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  if (event.type === "frontrunner.vote") console.log(event.votes, event.leader);
  if (event.type === "response.completed") console.log(event.response.frontrunner);
};
