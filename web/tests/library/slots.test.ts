import { expect, test } from "vitest";
import { createSlots } from "@/library/slots";

test("so many have a place at a time, and whoever has waited longest is next", () => {
  const slots = createSlots(1);
  const entered: string[] = [];
  const take = (name: string) => slots.take(() => entered.push(name));
  const leaveOne = take("one");
  const leaveTwo = take("two");
  const leaveThree = take("three");
  expect(entered).toEqual(["one"]);
  leaveTwo();
  leaveOne();
  leaveOne();
  expect(entered).toEqual(["one", "three"]);
  take("four");
  leaveThree();
  expect(entered).toEqual(["one", "three", "four"]);
});
