// What AWS's SDK for JavaScript makes of the far store's bucket; one word a command, its answer as JSON.
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand,
	 S3Client } from "@aws-sdk/client-s3";
import { createHash } from "node:crypto";

const client = new S3Client({
	endpoint: process.env.GGFS_TEST_S3_ENDPOINT,
	region: "us-east-1",
	forcePathStyle: true,
	// Checksums that newer services know; the one under test is older.
	requestChecksumCalculation: "WHEN_REQUIRED",
	responseChecksumValidation: "WHEN_REQUIRED",
});
const [command, Bucket, Key, ...rest] = process.argv.slice(2);

async function list() {
	const keys = [];
	let ContinuationToken;
	do {
		const page = await client.send(new ListObjectsV2Command({ Bucket, Prefix: Key, ContinuationToken, MaxKeys: 3 }));
		keys.push(...(page.Contents ?? []).map(item => item.Key));
		ContinuationToken = page.NextContinuationToken;
	} while (ContinuationToken);
	return keys;
}

const commands = {
	get: async () => {
		const answer = await client.send(new GetObjectCommand({ Bucket, Key }));
		const bytes = await answer.Body.transformToByteArray();
		return { encoding: answer.ContentEncoding ?? null, metadata: answer.Metadata, length: bytes.length,
			 sha256: createHash("sha256").update(bytes).digest("hex") };
	},
	head: async () => (await client.send(new HeadObjectCommand({ Bucket, Key }))).ContentLength,
	put: async () => (await client.send(new PutObjectCommand({ Bucket, Key, Body: rest[0] }))).$metadata.httpStatusCode,
	"put-if-absent": async () => {
		try {
			await client.send(new PutObjectCommand({ Bucket, Key, Body: rest[0], IfNoneMatch: "*" }));
			return "put";
		} catch (error) {
			return error.name;
		}
	},
	list,
};

console.log(JSON.stringify(await commands[command]()));
