// Verifies what Portillon sends, in Java 17 or later, without any library; the JSON of the assertion is for yours.
// Java 15 and later know Ed25519 too; for older ones give the route `signature_algorithm = "ecdsa-p256-sha256"`.
//
//     java Verify.java keys.txt request.http TAG ISSUER [NOW]   (ISSUER is not looked at: see verifyAssertion)
//
// `keys.txt` is what `portillon keys export` prints; `request.http` is the head of a request as the application got it.

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Verify {
    static final Pattern INPUT = Pattern.compile(
        "portillon=(\\((\"@method\" \"@authority\" \"@path\" \"@query\"(?: \"[a-z0-9-]+\")*)\\)"
            + ";created=([0-9]{1,15});expires=([0-9]{1,15});keyid=\"([\\w-]+)\";alg=\"[\\w-]+\";nonce=\"[\\w-]+\""
            + ";tag=\"([^\"\\\\]*)\")");
    static final Pattern KEY = Pattern.compile(
        "^(ed25519|p256) (\\S+) .*\\n-----BEGIN [^-]+-----([^-]+)-----END", Pattern.MULTILINE);

    /** Public keys by keyid. */
    static Map<String, PublicKey> readKeys(String export) throws GeneralSecurityException {
        Map<String, PublicKey> keys = new HashMap<>();
        for (Matcher block = KEY.matcher(export); block.find();) {
            byte[] der = Base64.getMimeDecoder().decode(block.group(3));
            KeyFactory factory = KeyFactory.getInstance(block.group(1).equals("p256") ? "EC" : "Ed25519");
            keys.put(block.group(2), factory.generatePublic(new X509EncodedKeySpec(der)));
        }
        return keys;
    }

    static void insist(boolean holds, String otherwise) {
        if (!holds) throw new SecurityException(otherwise);
    }

    static void check(PublicKey key, byte[] signature, String message) throws GeneralSecurityException {
        insist(key != null, "unknown key");
        // P1363: r and s, 32 bytes each.
        Signature verifier = Signature.getInstance(key.getAlgorithm().equals("EC") ? "SHA256withECDSAinP1363Format" : "Ed25519");
        verifier.initVerify(key);
        verifier.update(message.getBytes(StandardCharsets.US_ASCII));
        insist(verifier.verify(signature), "the signature does not hold");
    }

    /** The one value of a header; `headers` has every line of a request under its lower-case name. */
    static String single(Map<String, List<String>> headers, String name) {
        insist(headers.getOrDefault(name, List.of()).size() == 1, name + " is not there once");
        return headers.get(name).get(0);
    }

    /** The signed headers, decoded. */
    static Map<String, String> verifyRequest(
        String method, String target, Map<String, List<String>> headers, Map<String, PublicKey> keys, String tag, long now)
        throws GeneralSecurityException {
        Matcher input = INPUT.matcher(single(headers, "signature-input"));
        insist(input.matches(), "not in the form of the gateway");
        List<String> names = List.of(input.group(2).replace("\"", "").split(" "));
        insist(new HashSet<>(names).size() == names.size(), "a header is signed twice");
        for (String name : headers.keySet()) {
            boolean identity = name.startsWith("x-agent-") && !name.equals("x-agent-assertion");
            insist(!identity || names.contains(name), name + " is not signed");
        }
        String[] parts = target.split("\\?", 2);
        Map<String, String> derived = Map.of("@method", method, "@authority", single(headers, "host").toLowerCase(),
            "@path", parts[0].isEmpty() ? "/" : parts[0], "@query", "?" + (parts.length > 1 ? parts[1] : ""));
        StringBuilder base = new StringBuilder();
        Map<String, String> identity = new LinkedHashMap<>();
        for (String name : names) {
            String value = derived.containsKey(name) ? derived.get(name) : single(headers, name);
            base.append('"').append(name).append("\": ").append(value).append('\n');
            if (!derived.containsKey(name)) identity.put(name, decode(value));
        }
        base.append("\"@signature-params\": ").append(input.group(1));
        String signature = single(headers, "signature").replaceAll("^portillon=:|:$", "");
        check(keys.get(input.group(5)), Base64.getDecoder().decode(signature), base.toString());
        insist(input.group(6).equals(tag), "for another application");
        insist(Long.parseLong(input.group(3)) - 60 <= now && now < Long.parseLong(input.group(4)) + 60, "not in its time");
        return identity;
    }

    /** URLDecoder makes `+` a space, which it is in forms only. */
    static String decode(String value) {
        return URLDecoder.decode(value.replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    /** The claims of the JWT as JSON. Read it with your JSON library, then compare iss, aud, iat, exp and sid. */
    static String verifyAssertion(String token, Map<String, PublicKey> keys) throws GeneralSecurityException {
        String[] parts = token.split("\\.", -1);
        insist(parts.length == 3, "not an assertion");
        String header = new String(Base64.getUrlDecoder().decode(parts[0]), StandardCharsets.UTF_8);
        Matcher known = Pattern.compile("\\{\"alg\":\"ES256\",\"kid\":\"([\\w-]+)\",\"typ\":\"JWT\"\\}").matcher(header);
        insist(known.matches(), "not an assertion");
        check(keys.get(known.group(1)), Base64.getUrlDecoder().decode(parts[2]), parts[0] + "." + parts[1]);
        return new String(Base64.getUrlDecoder().decode(parts[1]), StandardCharsets.UTF_8);
    }

    public static void main(String[] args) throws Exception {
        Map<String, PublicKey> keys = readKeys(Files.readString(Path.of(args[0])));
        List<String> lines = Files.readAllLines(Path.of(args[1]));
        String[] start = lines.get(0).split(" ");
        Map<String, List<String>> headers = new HashMap<>();
        for (String line : lines.subList(1, lines.indexOf(""))) {
            String[] field = line.split(":", 2);
            String name = field[0].toLowerCase().replace('_', '-');
            headers.computeIfAbsent(name, absent -> new ArrayList<>()).add(field[1].strip());
        }
        long now = args.length > 4 ? Long.parseLong(args[4]) : Instant.now().getEpochSecond();
        try {
            Map<String, String> identity = verifyRequest(start[0], start[1], headers, keys, args[2], now);
            System.out.println(identity.get("x-agent-given-name") + " " + identity.get("x-agent-usual-name"));
            for (String token : headers.getOrDefault("x-agent-assertion", List.of())) {
                verifyAssertion(token, keys);
            }
        } catch (SecurityException | IllegalArgumentException | GeneralSecurityException error) {
            System.err.println("refused: " + error.getMessage());
            System.exit(1);
        }
    }
}
