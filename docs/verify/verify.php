<?php
// Verifies what Portillon sends, in PHP 8 with the extensions sodium and openssl.
//
//     php verify.php keys.txt request.http TAG ISSUER [NOW]
//
// `keys.txt` is what `portillon keys export` prints; `request.http` is the head of a request as the application got it.

declare(strict_types=1);

const INPUT = '/^portillon=(\(("@method" "@authority" "@path" "@query"(?: "[a-z0-9-]+")*)\)'
    . ';created=([0-9]+);expires=([0-9]+);keyid="([\w-]+)";alg="[\w-]+";nonce="[\w-]+";tag="([^"\\\\]*)")$/D';

/** Public keys by keyid, as PEM. */
function read_keys(string $export): array
{
    $block = '/^(?:ed25519|p256) (\S+) .*\n(-----BEGIN [^-]+-----[^-]+-----END [^-]+-----)/m';
    preg_match_all($block, $export, $blocks);
    return array_combine($blocks[1], $blocks[2]);
}

function insist(bool $holds, string $otherwise): void
{
    $holds || throw new UnexpectedValueException($otherwise);
}

function check(?string $pem, string $signature, string $message): void
{
    insist($pem !== null && strlen($signature) === 64, 'unknown key, or no signature');
    $der = base64_decode(implode('', array_slice(explode("\n", $pem), 1, -1)));
    if (strlen($der) === 44) { // Ed25519: the key is the last 32 bytes
        insist(sodium_crypto_sign_verify_detached($signature, $message, substr($der, -32)), 'the signature does not hold');
        return;
    }
    $integers = ''; // P-256: OpenSSL wants r and s as ASN.1 integers
    foreach (str_split($signature, 32) as $half) {
        $half = ltrim($half, "\0");
        $half = $half === '' || ord($half[0]) > 127 ? "\0$half" : $half;
        $integers .= "\x02" . chr(strlen($half)) . $half;
    }
    $signature = "\x30" . chr(strlen($integers)) . $integers;
    insist(openssl_verify($message, $signature, $pem, OPENSSL_ALGO_SHA256) === 1, 'the signature does not hold');
}

/** The signed headers, decoded. `$server` is $_SERVER. */
function verify_request(array $server, array $keys, string $tag, int $now): array
{
    $header = fn (string $name) => $server['HTTP_' . strtoupper(strtr($name, '-', '_'))]
        ?? throw new UnexpectedValueException("$name is not there");
    insist(preg_match(INPUT, $header('signature-input'), $m) === 1, 'not in the form of the gateway');
    [, $params, $components, $created, $expires, $keyid, $signed_tag] = $m;
    $names = explode(' ', str_replace('"', '', $components));
    insist(count(array_unique($names)) === count($names), 'a header is signed twice');
    foreach (preg_grep('/^HTTP_X_AGENT_(?!ASSERTION$)/', array_keys($server)) as $name) {
        insist(in_array(strtolower(strtr(substr($name, 5), '_', '-')), $names, true), "$name is not signed");
    }
    [$path, $query] = explode('?', $server['REQUEST_URI'], 2) + [1 => ''];
    $derived = ['@method' => $server['REQUEST_METHOD'], '@authority' => strtolower($header('host')), '@path' => $path ?: '/', '@query' => "?$query"];
    $base = implode('', array_map(fn ($name) => "\"$name\": " . ($derived[$name] ?? $header($name)) . "\n", $names));
    $signature = base64_decode(preg_replace('/^portillon=:|:$/', '', $header('signature')));
    check($keys[$keyid] ?? null, $signature, "$base\"@signature-params\": $params");
    insist($signed_tag === $tag && $created - 60 <= $now && $now < $expires + 60, 'for another application, or too late');
    $fields = array_slice($names, 4);
    return array_combine($fields, array_map(fn ($name) => rawurldecode($header($name)), $fields));
}

/** The claims of the JWT. */
function verify_assertion(string $token, array $keys, string $issuer, string $audience, int $now): array
{
    $parts = array_map(fn ($part) => base64_decode(strtr($part, '-_', '+/')), explode('.', $token));
    insist(count($parts) === 3, 'not an assertion');
    [$header, $claims] = [json_decode($parts[0], true), json_decode($parts[1], true)];
    insist([$header['alg'] ?? '', $header['typ'] ?? ''] === ['ES256', 'JWT'] && !isset($header['crit']), 'not an assertion');
    check($keys[$header['kid'] ?? ''] ?? null, $parts[2], substr($token, 0, strrpos($token, '.')));
    insist($claims['iss'] === $issuer && $claims['aud'] === $audience, 'for another application');
    insist($claims['iat'] - 60 <= $now && $now < $claims['exp'] + 60, 'not in its time');
    return $claims;
}

/** What $_SERVER holds where a web server read this head: several lines of one name as one. */
function server_of(string $head): array
{
    $lines = explode("\n", explode("\n\n", trim($head))[0]);
    [$method, $target] = explode(' ', array_shift($lines));
    $server = ['REQUEST_METHOD' => $method, 'REQUEST_URI' => $target];
    foreach ($lines as $line) {
        [$name, $value] = explode(':', $line, 2);
        $name = 'HTTP_' . strtoupper(strtr($name, '-', '_'));
        $server[$name] = isset($server[$name]) ? "$server[$name], " . trim($value) : trim($value);
    }
    return $server;
}

if (realpath($argv[0] ?? '') === __FILE__) {
    [, $keys, $request, $tag, $issuer] = $argv;
    $now = (int) ($argv[5] ?? time());
    $keys = read_keys(file_get_contents($keys));
    $server = server_of(file_get_contents($request));
    try {
        $identity = verify_request($server, $keys, $tag, $now);
        echo $identity['x-agent-given-name'] ?? '', ' ', $identity['x-agent-usual-name'] ?? '', "\n";
        if (isset($server['HTTP_X_AGENT_ASSERTION'])) {
            $claims = verify_assertion($server['HTTP_X_AGENT_ASSERTION'], $keys, $issuer, $tag, $now);
            insist($claims['sid'] === $identity['x-agent-session'], 'the assertion is of another session');
        }
    } catch (UnexpectedValueException $error) {
        fwrite(STDERR, "refused: {$error->getMessage()}\n");
        exit(1);
    }
}
