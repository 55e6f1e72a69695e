// Fictional agents. Each is here for a reason, which stands beside it.

/** DINUM's public SIRET; any valid one would do. */
const SIRET = "13002526500013";

const common = {
  siret: SIRET,
  idp_id: "71144ab3-ee1a-4401-b7b3-79b44f7daeeb",
  idp_acr: "eidas1",
  belonging_population: "agent",
  organization_label: "Direction interministérielle du numérique",
  roles: ["agent_public", "agent_public_etat"],
  custom: {},
};

/** Claims by the name that the login page posts; `acr` and `amr` are of the authentication, not of the agent. */
export const agents = {
  // Accents, a hyphen and an apostrophe: what breaks in headers; and the second factor.
  zoe: {
    acr: "eidas1-mfa",
    amr: ["pwd", "mail"],
    claims: {
      ...common,
      sub: "436402e3-ffa7-4ae3-8193-b35a1c43853e",
      given_name: "Zoé Anaïs",
      usual_name: "Lefèvre-D’Aÿ",
      email: "zoe.lefevre@numerique.test",
      uid: "9681",
      phone_number: "+33 1 99 00 12 34",
      organizational_unit: "DINUM/Pôle Œuvres, bureau n° 3",
    },
  },
  // A contractor without a second factor: refused where the route says so.
  karim: {
    acr: "eidas1",
    amr: ["pwd"],
    claims: {
      ...common,
      sub: "7f0c7d3e-34a2-4b0e-9b0f-2d4f4f0f7c11",
      given_name: "Karim",
      usual_name: "Benali",
      email: "karim.benali@prestataire.test",
      uid: "p-117",
      belonging_population: "prestataire",
      roles: [],
    },
  },
  // A password today, and a code from her application where somebody asks for it.
  noemie: {
    acr: "eidas1",
    amr: ["pwd"],
    stronger: { acr: "eidas2", amr: ["pwd", "otp"] },
    claims: {
      ...common,
      sub: "9a1d3c52-0a63-4f0e-8f0a-5b8b0a3f6d21",
      given_name: "Noémie",
      usual_name: "Abadie",
      email: "noemie.abadie@numerique.test",
      uid: "5170",
    },
  },
  // Neither telephone nor unit; letters outside Latin-1.
  lucja: {
    acr: "eidas2",
    amr: ["pwd", "otp"],
    claims: {
      ...common,
      sub: "0b1f6e0a-77cf-4f3e-a3d4-0d1f5f8e8a52",
      given_name: "Łucja",
      usual_name: "Đặng-Żółć",
      email: "lucja.dang@numerique.test",
      uid: "4410",
    },
  },
};
