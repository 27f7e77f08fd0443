import django.db.models.deletion
from django.db import migrations, models

import lib.clock
import lib.ids


class Migration(migrations.Migration):
    dependencies = [
        ("cases", "0001_initial"),
        ("containment", "0002_automation"),
        ("identity", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApprovalCall",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("plan_hash", models.CharField(max_length=64)),
                ("asked", models.JSONField(default=list)),
                ("next_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="GlassReview",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("ulid", models.CharField(default=lib.ids.ulid, max_length=26, unique=True)),
                ("due_at", models.DateTimeField()),
                ("rung_at", models.DateTimeField(null=True)),
                ("reviewed_at", models.DateTimeField(null=True)),
                ("is_justified", models.BooleanField(null=True)),
                ("finding", models.TextField(blank=True)),
            ],
        ),
        migrations.CreateModel(
            name="TierPolicy",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("ulid", models.CharField(default=lib.ids.ulid, max_length=26, unique=True)),
                ("version", models.PositiveIntegerField(unique=True)),
                ("tiers", models.JSONField()),
                ("reason", models.TextField()),
                ("proposed_at", models.DateTimeField(default=lib.clock.now)),
                ("decided_at", models.DateTimeField(null=True)),
                ("is_approved", models.BooleanField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Voiding",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("why", models.CharField(max_length=300)),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="approval",
            name="one_decision_per_person",
        ),
        migrations.RemoveConstraint(
            model_name="approval",
            name="decision_words",
        ),
        migrations.AddField(
            model_name="approval",
            name="nth",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="approval",
            name="decision",
            field=models.CharField(max_length=12),
        ),
        migrations.AlterField(
            model_name="approval",
            name="login",
            field=models.CharField(max_length=150),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(
                fields=("action", "plan_hash", "person", "nth"), name="one_decision_per_person"
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(("decision__in", ["approve", "reject", "break-glass"])),
                name="decision_words",
            ),
        ),
        migrations.AddField(
            model_name="approvalcall",
            name="action",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="cases.action"
            ),
        ),
        migrations.AddField(
            model_name="glassreview",
            name="approval",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="review", to="containment.approval"
            ),
        ),
        migrations.AddField(
            model_name="glassreview",
            name="reviewer",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.person"
            ),
        ),
        migrations.AddField(
            model_name="tierpolicy",
            name="decided_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.person"
            ),
        ),
        migrations.AddField(
            model_name="tierpolicy",
            name="proposed_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.person"
            ),
        ),
        migrations.AddField(
            model_name="voiding",
            name="approval",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="voiding", to="containment.approval"
            ),
        ),
        migrations.AddField(
            model_name="voiding",
            name="person",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.person"
            ),
        ),
        migrations.AddConstraint(
            model_name="approvalcall",
            constraint=models.UniqueConstraint(
                fields=("action", "plan_hash"), name="one_call_for_a_waiting_plan"
            ),
        ),
        migrations.AddIndex(
            model_name="glassreview",
            index=models.Index(
                condition=models.Q(("reviewed_at__isnull", True)), fields=["due_at"], name="glass_due"
            ),
        ),
        migrations.AddConstraint(
            model_name="glassreview",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("is_justified__isnull", True),
                        ("reviewed_at__isnull", True),
                        ("reviewer__isnull", True),
                    ),
                    models.Q(
                        ("is_justified__isnull", False),
                        ("reviewed_at__isnull", False),
                        ("reviewer__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="glass_review_whole",
            ),
        ),
        migrations.AddConstraint(
            model_name="tierpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by__isnull", True),
                    models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                    _connector="OR",
                ),
                name="tier_policy_two_people",
            ),
        ),
        migrations.AddConstraint(
            model_name="tierpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("decided_at__isnull", True),
                        ("decided_by__isnull", True),
                        ("is_approved__isnull", True),
                    ),
                    models.Q(
                        ("decided_at__isnull", False),
                        ("decided_by__isnull", False),
                        ("is_approved__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="tier_policy_decided_whole",
            ),
        ),
    ]
