BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE answer_scores (
	request VARCHAR(200) NOT NULL, 
	content TEXT NOT NULL, 
	PRIMARY KEY (request)
);
CREATE TABLE audit_entries (
	number INTEGER NOT NULL, 
	content TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "audit_entries" VALUES(0,'{"after":{"adapt":null,"arms":{},"chat_template":true,"control":null,"digest":"44f10324d71cbf99611e7fe43933ba6c5aee6903ef0aa5b7ae83109ee0c0177d","dtype":null,"evidence":{"accepted":null,"checks":[],"decisions":[],"differences":[],"dtype":null,"faults":["no check is given"],"unchecked":"a small file for tests"},"factors":[],"four_eyes":false,"guardrails":[],"metric":null,"metrics":[],"metrics_digest":null,"model":"tiny","name":"warm","on_alarm":"pause","plan":null,"salt":"c303ccc49352f4ff231fa0c6fa7d8e9f","stages":[1.0,5.0,25.0,50.0,100.0],"traffic":[0.0,100.0],"treatment":{"artifact":"b0b4f84dd8fc6ff0ac852bf0d0ad0705546213b4852193fa74bd515e344eef11","folder":"/tmp/st/steering","name":"steering","scope":"all","strength":{"formality":0.25,"sentiment":0.25}},"unit":"user","without_unit":"control"},"before":null,"number":0,"subject":"warm","time":"2026-11-30T16:59:53.618314+00:00","what":"release.create","who":"ada","why":""}');
INSERT INTO "audit_entries" VALUES(1,'{"after":{"asked_by":null,"epoch":null,"share":1.0,"state":"running","time":1796058025.8607235,"version":2},"before":{"asked_by":null,"epoch":null,"share":0.0,"state":"draft","time":1796057993.616936,"version":1},"number":1,"subject":"warm","time":"2026-11-30T17:00:25.862402+00:00","what":"release.start","who":"ada","why":"go"}');
INSERT INTO "audit_entries" VALUES(2,'{"after":{"asked_by":null,"epoch":null,"share":5.0,"state":"running","time":1796058057.211674,"version":3},"before":{"asked_by":null,"epoch":null,"share":1.0,"state":"running","time":1796058025.8607235,"version":2},"number":2,"subject":"warm","time":"2026-11-30T17:00:57.267473+00:00","what":"release.promote","who":"bob","why":"no harm seen"}');
INSERT INTO "audit_entries" VALUES(3,'{"after":{"asked_by":null,"epoch":null,"share":5.0,"state":"paused","time":1796058115.853508,"version":4},"before":{"asked_by":null,"epoch":null,"share":5.0,"state":"running","time":1796058057.211674,"version":3},"number":3,"subject":"warm","time":"2026-11-30T17:01:55.918270+00:00","what":"release.pause","who":"ada","why":"lunch"}');
CREATE TABLE audit_nodes (
	level INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	hash BLOB NOT NULL, 
	PRIMARY KEY (level, position)
);
INSERT INTO "audit_nodes" VALUES(0,0,X'8C59BDCC022E420AA707093A5182265C06B09F28911530A44FD552AEE472BF29');
INSERT INTO "audit_nodes" VALUES(0,1,X'ECF5FBFBD8CA87681A9256476E73E41A480C4221B0B5D1106A78A15BD215239B');
INSERT INTO "audit_nodes" VALUES(1,0,X'316BC78E53EC96DE2987EB390EFE3FCECE1A2F4FC28F5ECFD4003F4F311C99FC');
INSERT INTO "audit_nodes" VALUES(0,2,X'BDC621D44F69F424DA8E1B5050DC42FB23F562CA0B2DAEAADE3F5115A79AFECF');
INSERT INTO "audit_nodes" VALUES(0,3,X'5ADC9394AF628D3D5452DDF776B4366F017852D88E3604B528BE7281C478B5BA');
INSERT INTO "audit_nodes" VALUES(1,1,X'CEAF3855CF11DAF7AFF561E9633E3169F75A1D87F6374374059B460D287FA0D5');
INSERT INTO "audit_nodes" VALUES(2,0,X'8FA4A7CB519CE537EA456FD3BC487E4F18C691351CF07892D12FCE55A934E67D');
CREATE TABLE exposure_texts (
	request VARCHAR(200) NOT NULL, 
	unit VARCHAR(64), 
	time FLOAT NOT NULL, 
	encrypted BOOLEAN NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (request)
);
CREATE TABLE exposures (
	number INTEGER NOT NULL, 
	request VARCHAR(200) NOT NULL, 
	time FLOAT NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	release VARCHAR(100), 
	version INTEGER, 
	arm VARCHAR(20) NOT NULL, 
	dry_run BOOLEAN NOT NULL, 
	unit VARCHAR(64), 
	artifact VARCHAR(64), 
	content TEXT NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (request)
);
INSERT INTO "exposures" VALUES(1,'r0',1.0,'tiny','warm',3,'control',0,'d4015b83af077f5b06d025b24f2202a1',NULL,'{"strength": {}, "scope": null, "gates": {}, "selected": 0, "touched": 0, "prompt_tokens": 0, "answer_tokens": 0, "first_token_seconds": null, "seconds": 0.0, "finish": null, "of_unit": true}');
INSERT INTO "exposures" VALUES(2,'r1',2.0,'tiny','warm',3,'treatment',0,'56e3caedf015861ef5eacd7d0cfea824',NULL,'{"strength": {}, "scope": null, "gates": {}, "selected": 0, "touched": 0, "prompt_tokens": 0, "answer_tokens": 0, "first_token_seconds": null, "seconds": 0.0, "finish": null, "of_unit": true}');
INSERT INTO "exposures" VALUES(3,'r2',3.0,'tiny','warm',3,'control',0,'095815d611384336e16aa0e6f55f39b6',NULL,'{"strength": {}, "scope": null, "gates": {}, "selected": 0, "touched": 0, "prompt_tokens": 0, "answer_tokens": 0, "first_token_seconds": null, "seconds": 0.0, "finish": null, "of_unit": true}');
INSERT INTO "exposures" VALUES(4,'r3',4.0,'tiny','warm',3,'treatment',0,'d4015b83af077f5b06d025b24f2202a1',NULL,'{"strength": {}, "scope": null, "gates": {}, "selected": 0, "touched": 0, "prompt_tokens": 0, "answer_tokens": 0, "first_token_seconds": null, "seconds": 0.0, "finish": null, "of_unit": true}');
INSERT INTO "exposures" VALUES(5,'r4',5.0,'tiny','warm',3,'control',0,'56e3caedf015861ef5eacd7d0cfea824',NULL,'{"strength": {}, "scope": null, "gates": {}, "selected": 0, "touched": 0, "prompt_tokens": 0, "answer_tokens": 0, "first_token_seconds": null, "seconds": 0.0, "finish": null, "of_unit": true}');
INSERT INTO "exposures" VALUES(6,'r5',6.0,'tiny','warm',3,'treatment',0,'095815d611384336e16aa0e6f55f39b6',NULL,'{"strength": {}, "scope": null, "gates": {}, "selected": 0, "touched": 0, "prompt_tokens": 0, "answer_tokens": 0, "first_token_seconds": null, "seconds": 0.0, "finish": null, "of_unit": true}');
CREATE TABLE metric_definitions (
	number INTEGER NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	version INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	content TEXT NOT NULL, 
	time FLOAT NOT NULL, 
	entry INTEGER NOT NULL, 
	PRIMARY KEY (number), 
	CONSTRAINT one_definition_per_version UNIQUE (name, version), 
	FOREIGN KEY(entry) REFERENCES audit_entries (number)
);
CREATE TABLE outcome_texts (
	number INTEGER NOT NULL, 
	time FLOAT NOT NULL, 
	encrypted BOOLEAN NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (number), 
	FOREIGN KEY(number) REFERENCES outcomes (number)
);
CREATE TABLE outcomes (
	number INTEGER NOT NULL, 
	request VARCHAR(200) NOT NULL, 
	metric VARCHAR(100) NOT NULL, 
	source VARCHAR(20) NOT NULL, 
	value FLOAT, 
	label VARCHAR(100), 
	who VARCHAR(200) NOT NULL, 
	by_unit BOOLEAN NOT NULL, 
	consent BOOLEAN NOT NULL, 
	happened FLOAT NOT NULL, 
	came FLOAT NOT NULL, 
	"key" VARCHAR(64), 
	PRIMARY KEY (number), 
	UNIQUE ("key")
);
INSERT INTO "outcomes" VALUES(1,'r0','rating','user',0.0,NULL,'nobody',0,0,1.79605808453404641148e+09,1.79605808453404641148e+09,NULL);
INSERT INTO "outcomes" VALUES(2,'r1','rating','user',1.0,NULL,'nobody',0,0,1.796058084535525322e+09,1.796058084535525322e+09,NULL);
INSERT INTO "outcomes" VALUES(3,'r2','rating','user',0.0,NULL,'nobody',0,0,1.79605808458503675463e+09,1.79605808458503675463e+09,NULL);
INSERT INTO "outcomes" VALUES(4,'r3','rating','user',1.0,NULL,'nobody',0,0,1.79605808458545851708e+09,1.79605808458545851708e+09,NULL);
CREATE TABLE release_states (
	number INTEGER NOT NULL, 
	release INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	share FLOAT NOT NULL, 
	asked_by VARCHAR(200), 
	time FLOAT NOT NULL, 
	entry INTEGER NOT NULL, epoch TEXT, 
	PRIMARY KEY (number), 
	CONSTRAINT one_state_per_version UNIQUE (release, version), 
	FOREIGN KEY(release) REFERENCES releases (id), 
	FOREIGN KEY(entry) REFERENCES audit_entries (number)
);
INSERT INTO "release_states" VALUES(1,1,1,'draft',0.0,NULL,1.79605799361693596843e+09,0,NULL);
INSERT INTO "release_states" VALUES(2,1,2,'running',1.0,NULL,1.79605802586072349543e+09,1,NULL);
INSERT INTO "release_states" VALUES(3,1,3,'running',5.0,NULL,1.79605805721167397503e+09,2,NULL);
INSERT INTO "release_states" VALUES(4,1,4,'paused',5.0,NULL,1.79605811585350799556e+09,3,NULL);
CREATE TABLE releases (
	id INTEGER NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	created FLOAT NOT NULL, 
	content TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "releases" VALUES(1,'warm','tiny',1.79605799361693596843e+09,'{"name":"warm","model":"tiny","treatment":{"name":"steering","artifact":"b0b4f84dd8fc6ff0ac852bf0d0ad0705546213b4852193fa74bd515e344eef11","strength":{"sentiment":0.25,"formality":0.25},"scope":"all","folder":"/tmp/st/steering"},"control":null,"stages":[1.0,5.0,25.0,50.0,100.0],"traffic":[0.0,100.0],"unit":"user","without_unit":"control","metric":null,"guardrails":[],"metrics":[],"metrics_digest":null,"plan":null,"arms":{},"adapt":null,"factors":[],"on_alarm":"pause","four_eyes":false,"salt":"c303ccc49352f4ff231fa0c6fa7d8e9f","digest":"44f10324d71cbf99611e7fe43933ba6c5aee6903ef0aa5b7ae83109ee0c0177d","dtype":null,"chat_template":true,"evidence":{"checks":[],"decisions":[],"faults":["no check is given"],"differences":[],"unchecked":"a small file for tests","accepted":null,"dtype":null}}');
CREATE TABLE settings (
	name VARCHAR(100) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "settings" VALUES('unit_salt','cd6b94adcddafe7f6b3bb8857f7ac23aa5b60b1ba5c51ae389d9f0dfad632353');
CREATE INDEX releases_by_model ON releases (model);
CREATE INDEX exposures_by_release ON exposures (release, arm, dry_run, unit);
CREATE INDEX exposures_by_unit ON exposures (unit);
CREATE INDEX texts_by_unit ON exposure_texts (unit);
CREATE INDEX texts_by_time ON exposure_texts (time);
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries BEGIN SELECT RAISE(ABORT, 'audit_entries is append-only'); END;
CREATE TRIGGER audit_entries_no_update BEFORE UPDATE OF number, content ON audit_entries BEGIN SELECT RAISE(ABORT, 'audit_entries is append-only'); END;
CREATE TRIGGER audit_entries_no_replace BEFORE INSERT ON audit_entries WHEN EXISTS (SELECT 1 FROM audit_entries WHERE number = NEW.number) BEGIN SELECT RAISE(ABORT, 'audit_entries is append-only'); END;
CREATE TRIGGER audit_nodes_no_delete BEFORE DELETE ON audit_nodes BEGIN SELECT RAISE(ABORT, 'audit_nodes is append-only'); END;
CREATE TRIGGER audit_nodes_no_update BEFORE UPDATE OF level, position, hash ON audit_nodes BEGIN SELECT RAISE(ABORT, 'audit_nodes is append-only'); END;
CREATE TRIGGER audit_nodes_no_replace BEFORE INSERT ON audit_nodes WHEN EXISTS (SELECT 1 FROM audit_nodes WHERE level = NEW.level AND position = NEW.position) BEGIN SELECT RAISE(ABORT, 'audit_nodes is append-only'); END;
CREATE TRIGGER releases_no_delete BEFORE DELETE ON releases BEGIN SELECT RAISE(ABORT, 'releases is append-only'); END;
CREATE TRIGGER releases_no_update BEFORE UPDATE OF id, name, model, created, content ON releases BEGIN SELECT RAISE(ABORT, 'releases is append-only'); END;
CREATE TRIGGER releases_no_replace BEFORE INSERT ON releases WHEN EXISTS (SELECT 1 FROM releases WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'releases is append-only'); END;
CREATE TRIGGER release_states_no_delete BEFORE DELETE ON release_states BEGIN SELECT RAISE(ABORT, 'release_states is append-only'); END;
CREATE TRIGGER release_states_no_replace BEFORE INSERT ON release_states WHEN EXISTS (SELECT 1 FROM release_states WHERE number = NEW.number) BEGIN SELECT RAISE(ABORT, 'release_states is append-only'); END;
CREATE TRIGGER exposures_no_delete BEFORE DELETE ON exposures BEGIN SELECT RAISE(ABORT, 'exposures is append-only'); END;
CREATE TRIGGER exposures_no_update BEFORE UPDATE OF number, request, time, model, release, version, arm, dry_run, artifact, content ON exposures BEGIN SELECT RAISE(ABORT, 'exposures is append-only'); END;
CREATE TRIGGER exposures_only_unlink BEFORE UPDATE OF unit ON exposures WHEN (NEW.unit IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'exposures is append-only'); END;
CREATE TRIGGER exposures_no_replace BEFORE INSERT ON exposures WHEN EXISTS (SELECT 1 FROM exposures WHERE number = NEW.number) BEGIN SELECT RAISE(ABORT, 'exposures is append-only'); END;
CREATE INDEX exposures_in_order ON exposures (release, number);
CREATE INDEX outcomes_by_request ON outcomes (request, metric, source);
CREATE INDEX outcomes_in_order ON outcomes (metric, source, number);
CREATE INDEX outcome_texts_by_time ON outcome_texts (time);
CREATE TRIGGER outcomes_no_delete BEFORE DELETE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes is append-only'); END;
CREATE TRIGGER outcomes_no_update BEFORE UPDATE OF number, request, metric, source, value, label, who, by_unit, consent, happened, came, key ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes is append-only'); END;
CREATE TRIGGER outcomes_no_replace BEFORE INSERT ON outcomes WHEN EXISTS (SELECT 1 FROM outcomes WHERE number = NEW.number) BEGIN SELECT RAISE(ABORT, 'outcomes is append-only'); END;
CREATE TRIGGER metric_definitions_no_delete BEFORE DELETE ON metric_definitions BEGIN SELECT RAISE(ABORT, 'metric_definitions is append-only'); END;
CREATE TRIGGER metric_definitions_no_update BEFORE UPDATE OF number, name, version, digest, content, time, entry ON metric_definitions BEGIN SELECT RAISE(ABORT, 'metric_definitions is append-only'); END;
CREATE TRIGGER metric_definitions_no_replace BEFORE INSERT ON metric_definitions WHEN EXISTS (SELECT 1 FROM metric_definitions WHERE number = NEW.number) BEGIN SELECT RAISE(ABORT, 'metric_definitions is append-only'); END;
CREATE TRIGGER exposures_first_request BEFORE INSERT ON exposures WHEN EXISTS (SELECT 1 FROM exposures WHERE request = NEW.request) BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER outcomes_first_key BEFORE INSERT ON outcomes WHEN EXISTS (SELECT 1 FROM outcomes WHERE key = NEW.key) BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER releases_once_name BEFORE INSERT ON releases WHEN EXISTS (SELECT 1 FROM releases WHERE name = NEW.name) BEGIN SELECT RAISE(ABORT, 'releases is append-only'); END;
CREATE TRIGGER release_states_once_release_version BEFORE INSERT ON release_states WHEN EXISTS (SELECT 1 FROM release_states WHERE release = NEW.release AND version = NEW.version) BEGIN SELECT RAISE(ABORT, 'release_states is append-only'); END;
CREATE TRIGGER metric_definitions_once_name_version BEFORE INSERT ON metric_definitions WHEN EXISTS (SELECT 1 FROM metric_definitions WHERE name = NEW.name AND version = NEW.version) BEGIN SELECT RAISE(ABORT, 'metric_definitions is append-only'); END;
CREATE TRIGGER release_states_no_update BEFORE UPDATE OF number, release, version, state, share, asked_by, time, entry, epoch ON release_states BEGIN SELECT RAISE(ABORT, 'release_states is append-only'); END;
CREATE INDEX exposures_by_artifact ON exposures (artifact, number);
CREATE TRIGGER answer_scores_no_delete BEFORE DELETE ON answer_scores BEGIN SELECT RAISE(ABORT, 'answer_scores is append-only'); END;
CREATE TRIGGER answer_scores_no_update BEFORE UPDATE OF request, content ON answer_scores BEGIN SELECT RAISE(ABORT, 'answer_scores is append-only'); END;
CREATE TRIGGER answer_scores_no_replace BEFORE INSERT ON answer_scores WHEN EXISTS (SELECT 1 FROM answer_scores WHERE request = NEW.request) BEGIN SELECT RAISE(ABORT, 'answer_scores is append-only'); END;
COMMIT;
