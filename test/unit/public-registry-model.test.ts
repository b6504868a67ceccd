import test from "ava";
import fc from "fast-check";
import { createGrants, type GrantStatement } from "../../src/public/grants.js";
import { createRegistry, type RegistryChange } from "../../src/public/registry.js";
import { dns, usualTerms } from "./announcing.js";

/**
 * The registry against a model that is too simple to be wrong: one list of claims, in order of arrival, judged from the
 * beginning after every step.
 */

const identities = ["a", "b", "c"] as const;
const names = ["x.test", "y.test", "*.test"] as const;
const sessions = ["a1", "a2", "b1", "b2", "c1"] as const;
const identityOf = (session: string) => session[0]!;

type Permission = "none" | "exclusive" | "shared";
type Permissions = Readonly<Record<(typeof identities)[number], Permission>>;

type Step =
  | { readonly type: "announce"; session: string; id: number; names: readonly string[]; alpn: readonly string[] }
  | { readonly type: "withdraw"; session: string; id: number }
  | { readonly type: "drop"; session: string }
  | { readonly type: "regrant"; permissions: Permissions };

interface ModelClaim {
  readonly session: string;
  readonly id: number;
  readonly name: string;
  alpn: string;
  status: string;
}

const anyPermission = fc.constantFrom<Permission>("none", "exclusive", "shared");
const anyPermissions = fc.record({ a: anyPermission, b: anyPermission, c: anyPermission });
const anySession = fc.constantFrom(...sessions);
const anyId = fc.integer({ min: 1, max: 2 });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant("announce" as const),
      session: anySession,
      id: anyId,
      names: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 3 }),
      alpn: fc.constantFrom([], ["h2"]),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("withdraw" as const), session: anySession, id: anyId }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("drop" as const), session: anySession }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("regrant" as const), permissions: anyPermissions }) },
);

function grantsOf(permissions: Permissions) {
  const statements: GrantStatement[] = identities
    .filter((identity) => permissions[identity] !== "none")
    .map((identity) => ({
      identity,
      names: ["*"],
      shared: permissions[identity] === "shared",
      balance: "least-connections",
    }));
  return createGrants(statements);
}

function createModel(initial: Permissions) {
  let permissions = initial;
  let claims: ModelClaim[] = [];

  function judge(): void {
    for (const name of names) {
      const here = claims.filter((claim) => claim.name === name);
      const permission = (claim: ModelClaim) => permissions[identityOf(claim.session) as "a"];
      const holders = new Set<string>();
      let exclusive: string | undefined;
      for (const claim of here) {
        const identity = identityOf(claim.session);
        if (permission(claim) === "none") claim.status = "denied";
        else if (claim.status === "accepted" && permission(claim) === "exclusive") {
          exclusive ??= identity;
          if (exclusive !== identity) claim.status = "taken";
        }
        if (claim.status === "accepted") holders.add(identity);
      }
      for (const claim of here) {
        const identity = identityOf(claim.session);
        if (claim.status === "denied" && permission(claim) === "none") continue;
        const may = permission(claim) === "shared" || holders.size === 0 || holders.has(identity);
        claim.status = may ? "accepted" : "taken";
        if (may) holders.add(identity);
      }
    }
  }

  return {
    step(step: Step): void {
      if (step.type === "announce") {
        const mine = (claim: ModelClaim) => claim.session === step.session && claim.id === step.id;
        const kept = claims.filter((claim) => mine(claim) && step.names.includes(claim.name));
        claims = claims.filter((claim) => !mine(claim) || kept.includes(claim));
        judge();
        for (const claim of kept) claim.alpn = step.alpn.join();
        for (const name of step.names) {
          if (kept.some((claim) => claim.name === name)) continue;
          claims.push({ session: step.session, id: step.id, name, alpn: step.alpn.join(), status: "new" });
        }
      } else if (step.type === "withdraw") {
        claims = claims.filter(({ session, id }) => session !== step.session || id !== step.id);
      } else if (step.type === "drop") claims = claims.filter(({ session }) => session !== step.session);
      else permissions = step.permissions;
      judge();
    },
    statuses: () => new Map(claims.map((claim) => [`${claim.session} ${claim.id} ${claim.name}`, claim.status])),
    list: () => claims.map(({ session, name, alpn, status }) => `${session} ${name} ${alpn} ${status}`).toSorted(),
    accepted: () =>
      claims
        .filter(({ status }) => status === "accepted")
        .map(({ session, id, name, alpn }) => `${session} ${id} ${name} ${alpn}`)
        .toSorted(),
    exclusiveHolders: (name: string) =>
      new Set(
        claims
          .filter((claim) => claim.name === name && claim.status === "accepted")
          .map(({ session }) => identityOf(session))
          .filter((identity) => permissions[identity as "a"] === "exclusive"),
      ),
  };
}

/** What the data plane makes of the changes: everything that it was told is accepted and not withdrawn. */
function createReplica() {
  const held = new Map<string, string>();
  return {
    apply(change: RegistryChange, dropped: string | undefined): void {
      for (const key of held.keys()) if (key.startsWith(`${dropped} `)) held.delete(key);
      for (const { session, announcementId, patterns } of change.withdrawn) {
        for (const name of patterns) {
          if (!held.delete(`${session} ${announcementId} ${name}`)) throw new Error(`${name} was not accepted before`);
        }
      }
      for (const { session, announcementId, patterns, alpn } of change.accepted) {
        for (const name of patterns) {
          const key = `${session} ${announcementId} ${name}`;
          if (held.get(key) === alpn.join()) throw new Error(`${key} was accepted twice`);
          held.set(key, alpn.join());
        }
      }
    },
    list: () => [...held].map(([key, alpn]) => `${key} ${alpn}`).toSorted(),
  };
}

test("after any steps the registry, and what the data plane was told, are what the model says", (t) => {
  fc.assert(
    fc.property(anyPermissions, fc.array(anyStep, { maxLength: 40 }), (permissions, steps) => {
      const registry = createRegistry(grantsOf(permissions));
      const model = createModel(permissions);
      const replica = createReplica();
      for (const step of steps) {
        const before = model.statuses();
        model.step(step);
        const after = model.statuses();
        const change = take(registry, step);
        replica.apply(change, step.type === "drop" ? step.session : undefined);

        t.is(registry.accepted, model.accepted().length);
        t.deepEqual(replica.list(), model.accepted());
        t.deepEqual(
          registry
            .list()
            .map(({ session, name, alpn, status }) => `${session} ${name} ${alpn.join()} ${status}`)
            .toSorted(),
          model.list(),
        );
        for (const name of names) t.true(model.exclusiveHolders(name).size <= 1);

        // Told: whatever changed, and every name of the announcement that asked; nothing else, and nothing twice.
        const told = change.results.flatMap(({ session, announcementId, results }) =>
          results.map(({ name, status }) => `${session} ${announcementId} ${name} ${status}`),
        );
        const asked = (key: string) => step.type === "announce" && key.startsWith(`${step.session} ${step.id} `);
        const expected = [...after].filter(([key, status]) => asked(key) || before.get(key) !== status);
        t.deepEqual(told.toSorted(), expected.map(([key, status]) => `${key} ${status}`).toSorted());
      }
    }),
    { numRuns: 400 },
  );
});

function take(registry: ReturnType<typeof createRegistry>, step: Step): RegistryChange {
  switch (step.type) {
    case "announce": {
      const who = { session: step.session, identity: dns(identityOf(step.session)) };
      return registry.announce(who, { announcementId: step.id, names: step.names, ...usualTerms, alpn: step.alpn });
    }
    case "withdraw":
      return registry.withdraw(step.session, step.id);
    case "drop":
      return registry.drop(step.session);
    case "regrant":
      return registry.regrant(grantsOf(step.permissions));
  }
}
