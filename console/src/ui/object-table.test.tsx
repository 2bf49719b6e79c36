import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { ObjectCards, type Listing, type Row } from "./object-table";

const listing: Listing<Row, "name"> = {
  columns: [{ key: "name", className: "", Cell: ({ view }) => view.name }],
  MenuItems: () => null,
  Card: ({ view }) => <p>{view.name}</p>,
};

test("thousands of cards come a hundred at a time", async () => {
  const rows = Array.from({ length: 250 }, (_, at) => ({ name: `user-${at}` }));
  render(<ObjectCards listing={listing} caption="Users" rows={rows} selected={undefined} onOpen={vi.fn()} />);
  expect(document.querySelectorAll("li p").length).toBe(100);
  await userEvent.click(screen.getByRole("button", { name: "Show more: 150 are left" }));
  await userEvent.click(screen.getByRole("button", { name: "Show more: 50 are left" }));
  expect(document.querySelectorAll("li p").length).toBe(250);
  expect(screen.queryByRole("button", { name: /Show more/ })).toBeNull();
});
