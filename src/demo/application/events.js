const list = document.getElementById("liste");
const source = new EventSource("/events");
source.onmessage = (event) => {
  const item = document.createElement("li");
  item.textContent = event.data;
  list.append(item);
  if (event.lastEventId === "60") source.close();
};
