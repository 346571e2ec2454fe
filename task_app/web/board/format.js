// Words, dates and numbers, in the reader's locale.

export const STATUSES = ["todo", "in_progress", "completed"];
export const STATUS_WORDS = { todo: "To do", in_progress: "In progress", completed: "Done" };
export const PRIORITIES = ["low", "medium", "high"];
export const PRIORITY_WORDS = { low: "Low", medium: "Medium", high: "High" };
export const FIELD_WORDS = {
  title: "title",
  description: "description",
  status: "status",
  priority: "priority",
  due_date: "due date",
  assigned_to: "assignee",
  user_id: "owner",
};

const DAY = 86_400_000;
const numbers = new Intl.NumberFormat();
const sameYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const otherYear = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", year: "numeric",
});
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const times = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const lists = new Intl.ListFormat(undefined, { type: "conjunction" });

export const number = (value) => numbers.format(value);
export const list = (words) => lists.format(words);
export const moment = (text) => moments.format(new Date(text));

// "14:05" of today, else the day too.
export function when(milliseconds) {
  const [then, now] = [new Date(milliseconds), new Date()];
  return then.toDateString() === now.toDateString() ? times.format(then) : moments.format(then);
}

const upper = (text) => text.charAt(0).toLocaleUpperCase() + text.slice(1);

// Days from today to a day; a date has no zone, so both are taken as days of the calendar here.
export function daysUntil(day) {
  const [year, month, date] = day.split("-").map(Number);
  const now = new Date();
  return Math.round(
    (Date.UTC(year, month - 1, date)
      - Date.UTC(now.getFullYear(), now.getMonth(), now.getDate())) / DAY,
  );
}

// A due date: "Today", "Tomorrow", "3 Feb".
export function due(day) {
  const days = daysUntil(day);
  if (Math.abs(days) <= 1) return upper(relative.format(days, "day"));
  const [year, month, date] = day.split("-").map(Number);
  const form = year === new Date().getFullYear() ? sameYear : otherYear;
  return form.format(new Date(year, month - 1, date));
}

// How long ago: "now", "5 min. ago", "yesterday".
export function ago(text) {
  const seconds = (new Date(text) - Date.now()) / 1000;
  for (const [unit, length] of [["day", 86_400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  }
  return relative.format(0, "second");
}

export const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

// Two letters that stand for a name, and one of eight tints for it.
export function initials(name) {
  const words = name.trim().split(/[\s._@-]+/u).filter(Boolean);
  const letters = words.length > 1 ? [...words[0]][0] + [...words[1]][0] : [...name].slice(0, 2).join("");
  return letters.toLocaleUpperCase();
}

export function tint(id) {
  return `tint-${(Number(id) * 5 + 3) % 8}`;
}

// A field's value in words; `people` gives names.
export function inWords(field, value, people) {
  if (field === "status") return STATUS_WORDS[value] ?? String(value);
  if (field === "priority") return PRIORITY_WORDS[value] ?? String(value);
  if (field === "assigned_to") return value === null ? "nobody" : people.name(value);
  if (field === "user_id") return people.name(value);
  if (field === "due_date") return value === null ? "no date" : due(value);
  return value === null || value === "" ? "nothing" : String(value);
}
